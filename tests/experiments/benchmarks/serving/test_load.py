"""The load generator: it measures what is known, counts what fails, and notices what is wrong."""

import asyncio
import os
import subprocess
import sys
import threading
import time

import pytest

from experiments.benchmarks.serving.load import (
    Answer,
    Caller,
    Load,
    Measurement,
    measure,
    read_cpu,
    read_memory,
    render_request,
    stay_on,
)

DELAY = 0.02
END_OF_HEAD = b"\r\n\r\n"


class Service:
    """A trivial service whose delay is known; it answers with the body, or as the body asks."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self.answer, "127.0.0.1", 0)
        )
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    async def answer(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(END_OF_HEAD)
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                body = await reader.readexactly(length)
                await asyncio.sleep(DELAY)
                if body == b"hang up":
                    break
                status = 503 if body == b"refuse" else 200
                # In two parts, as a long answer comes.
                writer.write(b"HTTP/1.1 %d X\r\nRetry-After: 1\r\nContent-Le" % status)
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(b"ngth: %d\r\n\r\n" % length + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def close(self):
        self.server.close()
        mine = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not mine]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def stop(self):
        asyncio.run_coroutine_threadsafe(self.close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def service():
    found = Service()
    yield found
    found.stop()


def put_load(service, bodies, check=lambda number, body: None, **changes):
    requests = [render_request("/", body) for body in bodies]
    settings = {"connections": 4, "warm_up": 0.2, "seconds": 1.0} | changes
    return measure(Load(service.port, requests, **settings), check)


def test_latency_is_at_least_the_delay_that_is_known(service):
    found = put_load(service, [b"a", b"b"])
    assert found.is_sound
    assert 1000 * DELAY <= found.p50 <= found.p99 <= found.slowest
    # Four connections cannot be answered more often than this.
    assert 0 < found.rate <= 4 / DELAY
    assert found.answers == pytest.approx(found.rate * 1.0, rel=0.2)


def test_patients_are_counted_by_the_request(service):
    found = put_load(service, [b"many"], patients=50, seconds=0.4)
    assert found.patients_rate == pytest.approx(50 * found.rate)


def test_other_statuses_are_failures_and_no_throughput(service):
    found = put_load(service, [b"fine", b"refuse"], seconds=0.4)
    assert found.failed == pytest.approx(found.answers / 2, abs=4)
    assert found.rate * 0.4 == pytest.approx(found.answers - found.failed, rel=0.2)
    assert "answers 503" in found.complaint
    assert not found.is_sound


def test_lost_connections_are_failures_and_asking_goes_on(service):
    found = put_load(service, [b"fine", b"hang up"], seconds=0.6)
    assert found.failed > 0
    assert found.answers > 0
    assert "lost" in found.complaint


def test_a_service_that_is_not_there_is_a_failure():
    gone = Service()
    gone.stop()
    found = put_load(gone, [b"a"], seconds=0.3)
    assert found.answers == 0
    assert found.failed > 0
    assert not found.is_sound


def test_a_wrong_answer_is_noticed(service):
    asked = ["right", "wrong"]

    def check(number, body):
        assert body == asked[number]
        return None if body == "right" else "not right"

    found = put_load(service, [body.encode() for body in asked], check, seconds=0.4)
    assert (found.checked, found.wrong) == (2, 1)
    assert found.complaint == "wrong: not right"
    assert found.failed == 0
    assert not found.is_sound


def test_only_so_many_different_answers_are_checked(service):
    bodies = [str(number).encode() for number in range(6)]
    assert put_load(service, bodies, seconds=0.5, samples=3).checked == 3


def test_processor_time_is_that_of_the_whole_tree():
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'while True: pass'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    try:
        before = read_cpu(parent.pid)
        for _ in range(200):
            time.sleep(0.05)
            if read_cpu(parent.pid) > before + 0.1:
                break
        assert read_cpu(parent.pid) > before + 0.1
        memory = read_memory(parent.pid)
        alone = read_memory(child)
        assert 0 < alone.resident < memory.resident <= memory.peak
    finally:
        os.kill(child, 9)
        parent.kill()
        parent.communicate()


def test_a_process_started_on_a_core_stays_there():
    before = os.sched_getaffinity(0)
    core = max(before)
    script = "import os; print(sorted(os.sched_getaffinity(0)))"
    with stay_on(core):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.decode().strip() == f"[{core}]"
    assert os.sched_getaffinity(0) == before


def test_a_caller_connects_again_after_it_was_cut_off(service):
    async def ask():
        caller = Caller(service.port)
        with pytest.raises(ConnectionError):
            await caller.ask(render_request("/", b"hang up"))
        answer = await caller.ask(render_request("/", b"refuse"))
        caller.close()
        return answer

    answer = asyncio.run(ask())
    assert (answer.status, answer.body) == (503, b"refuse")
    assert answer.get_header("retry-after") == "1"


def test_a_request_carries_its_token_and_its_length():
    request = render_request("/predict", b"{}", "secret")
    head, _, body = request.partition(END_OF_HEAD)
    assert head.splitlines()[0] == b"POST /predict HTTP/1.1"
    assert b"Authorization: Bearer secret" in head.splitlines()
    assert b"Content-Length: 2" in head.splitlines()
    assert body == b"{}"


def test_an_answer_without_the_header_has_none():
    assert Answer(200, b"http/1.1 200 ok\r\ncontent-length: 0", b"").get_header("x") is None


def test_nothing_measured_is_not_sound():
    nothing = Measurement(1, 0, *[float("nan")] * 3, 0.0, 0.0, None, None, 0, 0, 0)
    assert not nothing.is_sound
