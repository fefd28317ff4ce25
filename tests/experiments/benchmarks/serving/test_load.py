"""Load by wrk: it measures a known delay, counts failures, and detects wrong answers."""

import asyncio
import shutil
import threading

import pytest

from experiments.benchmarks.serving import load as load_module
from experiments.benchmarks.serving.load import HttpRequest, Load, find_wrk, measure_load
from experiments.server import Server
from features.base.errors import UnavailableError

DELAY = 0.02
END_OF_HEAD = b"\r\n\r\n"

needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="NO WRK: no load was generated")


class Service:
    """A trivial service with a known delay; it echoes the body or does what the body requests."""

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
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, length))
                writer.write(body)
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
    running = Service()
    yield running
    running.stop()


def put_load(service, bodies, check=lambda expected, body: None, **changes):
    requests = [HttpRequest("/", body, expected=body.decode()) for body in bodies]
    load = Load(requests, check, **({"connections": 4, "seconds": 1} | changes))
    return measure_load(load, Server(service.port, 1, 0.0))


@needs_wrk
def test_latency_is_at_least_the_known_delay(service):
    measured = put_load(service, [b"a", b"b"], patients=50)
    assert (measured.failed, measured.wrong) == (0, 0)
    assert 1000 * DELAY <= measured.p50 <= measured.p99 <= measured.slowest
    # The most answers that four connections can get.
    assert 0 < measured.rate <= 4.4 / DELAY
    assert measured.patients_rate == pytest.approx(50 * measured.rate)


@needs_wrk
def test_other_statuses_are_failures_and_no_throughput(service):
    measured = put_load(service, [b"fine", b"refuse"])
    assert measured.failed == pytest.approx(measured.answers / 2, abs=8)
    assert measured.rate == pytest.approx(measured.answers / 2, rel=0.3)
    assert "refused" in measured.complaint
    assert "checker: answered 503" in measured.complaint


@needs_wrk
def test_lost_connections_are_failures(service):
    measured = put_load(service, [b"fine", b"hang up"])
    assert measured.answers > 0
    assert measured.failed > 0
    assert "lost" in measured.complaint


@needs_wrk
def test_wrong_answer_is_noticed(service):
    bodies = ["right", "wrong", "unchecked"]

    def check(expected, body):
        assert body == expected
        return None if body == "right" else "not right"

    measured = put_load(service, [body.encode() for body in bodies], check, checked=2)
    assert (measured.checked, measured.wrong) == (2, 1)
    assert measured.complaint == "wrong: not right"
    assert measured.failed == 0


@needs_wrk
def test_absent_service_is_reported():
    gone = Service()
    gone.stop()
    with pytest.raises(UnavailableError, match="wrk failed"):
        put_load(gone, [b"a"])


def test_absent_wrk_is_reported_with_its_installation(monkeypatch):
    monkeypatch.setattr(load_module.shutil, "which", lambda name: None)
    with pytest.raises(UnavailableError, match="apt-get install wrk"):
        find_wrk()


def test_request_carries_its_token_and_length():
    head, _, body = HttpRequest("/predict", b"{}", "secret").render().partition(END_OF_HEAD)
    assert head.splitlines()[0] == b"POST /predict HTTP/1.1"
    assert b"Authorization: Bearer secret" in head.splitlines()
    assert b"Content-Length: 2" in head.splitlines()
    assert body == b"{}"
