"""Access: which client may use which route, and how often.

Each key has scopes. As long as no key exists, only requests from this machine are accepted: not
through a proxy, and not by a host name that a web page has pointed at this machine.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from starlette.requests import Request

from serving.base.exchange import Exchange, refuse
from serving.store.keys import Key, KeyRing

LOOPBACK = ("127.", "::1", "localhost", "testclient")
# A web page can make its own host name resolve to this machine, so other names are rejected.
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")
# Through a proxy on this machine, requests from anywhere have a local address.
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
# Scopes of routes that need any key, and none.
ANY_SCOPE = "any"
OPEN = "open"
# A response 401 must name its scheme (RFC 9110, 15.5.2).
CHALLENGE = {"www-authenticate": "Bearer"}
MINUTE = 60.0


@dataclass(slots=True)
class Allowance:
    """Requests that a key has left: at most a minute's worth, refilled evenly."""

    per_minute: float
    left: float
    at: float

    def take(self, now: float) -> float:
        """Take one and return 0, or return the seconds until one is available.

        Examples
        --------
        >>> allowance = Allowance(60, left=1, at=0.0)
        >>> allowance.take(0.0), allowance.take(0.0), allowance.take(1.0)
        (0.0, 1.0, 0.0)
        """
        refilled = self.left + (now - self.at) * self.per_minute / MINUTE
        self.left, self.at = min(refilled, self.per_minute), now
        if self.left < 1:
            return (1 - self.left) * MINUTE / self.per_minute
        self.left -= 1
        return 0.0


@dataclass
class Access:
    """Accepts or rejects requests by key."""

    ring: KeyRing
    most_per_minute: int  # For keys without a limit of their own; 0 for no limit
    allowances: dict[str, Allowance] = field(default_factory=dict)

    def admit(self, request: Request, exchange: Exchange, scope: str, token: str) -> None:
        """Accept a request whose key has a scope, and note the key.

        Raises RequestError 401 without a valid key, 403 for a key without the scope, 429 for too
        many requests.
        """
        if self.ring.empty:
            _require_loopback(request)
            return
        if scope == OPEN:
            return
        now = datetime.now(UTC)
        key = self.ring.find(token, now)
        if key is None:
            refuse(401, "authorization", "key", "must be a valid key", CHALLENGE)
        if scope not in (ANY_SCOPE, *key.scopes):
            refuse(403, "authorization", "scope", f"must be a key with the scope {scope}")
        exchange.key_id = key.id
        self._count(key)
        self.ring.note_use(key.id, now)

    def _count(self, key: Key) -> None:
        per_minute = self.most_per_minute if key.per_minute is None else key.per_minute
        if not per_minute:
            return
        now = monotonic()
        allowance = self.allowances.get(key.id)
        if allowance is None or allowance.per_minute != per_minute:
            allowance = self.allowances[key.id] = Allowance(per_minute, per_minute, now)
        if wait := allowance.take(now):
            message = f"at most {per_minute} requests a minute"
            retry_after = {"retry-after": str(math.ceil(wait))}
            refuse(429, "authorization", "rate", message, retry_after)


def read_token(request: Request) -> str:
    """Read the key from the header; empty if there is none."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _require_loopback(request: Request) -> None:
    headers = request.headers
    client = request.client.host if request.client else ""
    host = headers.get("host", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    is_local = not client or client.startswith(LOOPBACK)
    is_forwarded = any(header in headers for header in FORWARDED)
    if not is_local or is_forwarded or (host and name not in LOOPBACK_HOSTS):
        refuse(403, "client", "loopback", "without keys only this machine may connect")
