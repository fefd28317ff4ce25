"""One keep-alive connection: it sends what was made beforehand and cuts out the answers."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

HOST = "127.0.0.1"
END_OF_HEAD = b"\r\n\r\n"
JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Parameters
    ----------
    head
        Status line and headers, in lower case.
    """

    status: int
    head: bytes
    body: bytes

    def get_header(self, name: str) -> str | None:
        r"""Return a header's value; None where there is none.

        Examples
        --------
        >>> Answer(503, b"http/1.1 503 x\r\nretry-after: 2", b"").get_header("retry-after")
        '2'
        """
        found = find_header(self.head, name.encode())
        return None if found is None else found.decode("latin-1")


def find_header(head: bytes, name: bytes) -> bytes | None:
    """Find a header in a head in lower case."""
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip() if found else None


def render_request(
    path: str,
    body: bytes = b"",
    token: str | None = None,
    content_type: str = JSON_TYPE,
    method: str = "POST",
) -> bytes:
    """Write a whole request, ready to be sent again and again."""
    headers: Mapping[str, str] = {
        "Host": "localhost",
        "Content-Type": content_type,
        "Content-Length": str(len(body)),
        **({} if token is None else {"Authorization": f"Bearer {token}"}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + END_OF_HEAD + body


class Connection(asyncio.Protocol):
    """A connection with one request under way at most.

    Parameters
    ----------
    answered
        Told of every answer; it may send the next request at once.
    lost
        Told when the connection ends, whoever ended it.
    """

    def __init__(self, answered: Callable[[Answer], None], lost: Callable[[], None]) -> None:
        self.answered, self.lost = answered, lost
        self.transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._head, self._end = b"", 0

    @classmethod
    async def open(
        cls, port: int, answered: Callable[[Answer], None], lost: Callable[[], None]
    ) -> "Connection":
        """Connect to a service on this machine."""
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(lambda: cls(answered, lost), HOST, port)
        return made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the way out."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only

    def send(self, request: bytes) -> None:
        """Send a request."""
        if self.transport is not None:
            self.transport.write(request)

    def close(self) -> None:
        """End the connection."""
        if self.transport is not None:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Collect an answer, and tell of it when it is whole."""
        self._buffer += data
        if self._end or self._read_head():
            self._read_body()

    def _read_head(self) -> bool:
        head, found, _ = self._buffer.partition(END_OF_HEAD)
        if not found:
            return False
        self._head = bytes(head).lower()
        length = find_header(self._head, b"content-length")
        if length is None:  # nobody here sends parts; an answer that cannot be read is none
            self.close()
            return False
        self._end = len(head) + len(END_OF_HEAD) + int(length)
        return True

    def _read_body(self) -> None:
        if len(self._buffer) < self._end:
            return
        body = bytes(self._buffer[len(self._head) + len(END_OF_HEAD) : self._end])
        answer = Answer(int(self._head[9:12]), self._head, body)
        self._buffer.clear()
        self._end = 0
        self.answered(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Tell that it is over."""
        self.transport = None
        self.lost()


class Caller:
    """A connection for callers that wait: opened when needed, and again when it was lost."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection: Connection | None = None
        self._waiting: asyncio.Future[Answer] | None = None

    async def ask(self, request: bytes, patience: float = 60.0) -> Answer:
        """Send a request and wait for its answer.

        Raises
        ------
        ConnectionError
            If the connection could not be made, or ended before the answer.
        TimeoutError
            If patience did.
        """
        if self._connection is None or self._connection.transport is None:
            self._connection = await Connection.open(self.port, self._answered, self._lost)
        self._waiting = asyncio.get_running_loop().create_future()
        self._connection.send(request)
        try:
            return await asyncio.wait_for(self._waiting, patience)
        except TimeoutError:
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answered(self, answer: Answer) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def _lost(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("the connection was lost"))
