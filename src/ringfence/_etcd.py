"""etcd at the edge: its JSON gateway (version 3, from etcd 3.4), without gRPC.

The first part makes requests and reads answers, and does no I/O; `Etcd` sends them by urllib3. In the gateway's JSON,
keys and values are base64, 64-bit integers are strings, and fields that are zero or false are left out.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from ringfence._url import hosts
from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreError

Json: TypeAlias = dict[str, Any]

SCHEMES = {"etcd": "http", "etcds": "https"}

_CONNECTIONS = 16  # kept open at most
_AT_ONCE = 18  # leases in 512 bytes, which the gateway reads before it answers; it may leave out what follows
_DUMP = json.JSONEncoder(separators=(",", ":")).encode
_NOT_FOUND = 5  # codes of gRPC
_UNCERTAIN = (1, 2, 4, 14)  # cancelled, unknown, deadline exceeded, unavailable: it may have been carried out


class NotFound(StoreError):
    """There is no such lease any more."""


class Request(NamedTuple):
    """What is asked: a path below the endpoint, and bodies in JSON, of which only a stream has several."""

    path: str
    body: Json
    more: tuple[Json, ...] = ()


class KeyValue(NamedTuple):
    """A key, with the revisions of the store at which it was made and written last.

    Attributes:
        key: bytes.
        value: bytes.
        create_revision: when it was made.
        mod_revision: when it was written last.
        version: how often it was written since it was made.
        lease: which lease it ends with; 0 for none.
    """

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class TxnAnswer(NamedTuple):
    """What a transaction did.

    Attributes:
        succeeded: whether all comparisons held.
        revision: of the store after it.
        found: for each operation carried out the keys it found.
    """

    succeeded: bool
    revision: int
    found: list[list[KeyValue]]


def located(url: str) -> tuple[list[str], str]:
    """Return the endpoints that `etcd://host:port,host:port/path` or `etcds://…` (TLS) names, and the path.

    Raises:
        InvalidType: `url` is not a string.
        InvalidValue: it is no such URL.
    """
    members, path = hosts(url, tuple(SCHEMES))
    for member in members:
        if "@" in member or not member.rpartition(":")[2].isdecimal():
            raise InvalidValue(f"{member!r} in {url!r} is not host:port")
    return [f"{SCHEMES[url.partition(':')[0]]}://{member}" for member in members], path


def encoded(data: str | bytes) -> str:
    """Return text or bytes in base64."""
    return b64encode(data.encode() if isinstance(data, str) else data).decode()


def prefix_end(prefix: str) -> bytes:
    """Return the end of the range of all keys that begin with `prefix`."""
    data = prefix.encode()
    return data[:-1] + bytes([data[-1] + 1])


def get_op(key: str) -> Json:
    """Return the operation that reads a key."""
    return {"requestRange": {"key": encoded(key)}}


def list_op(prefix: str) -> Json:
    """Return the operation that reads all keys that begin with `prefix`."""
    return {"requestRange": {"key": encoded(prefix), "range_end": encoded(prefix_end(prefix))}}


def put_op(key: str, value: str, lease: int = 0) -> Json:
    """Return the operation that writes a key, which ends with a lease."""
    return {"requestPut": {"key": encoded(key), "value": encoded(value), "lease": str(lease)}}


def is_absent(key: str) -> Json:
    """Return the comparison that a key does not exist."""
    return {"key": encoded(key), "target": "VERSION", "result": "EQUAL", "version": "0"}


def is_at(key: str, mod_revision: int) -> Json:
    """Return the comparison that a key was written last at a revision."""
    return {"key": encoded(key), "target": "MOD", "result": "EQUAL", "mod_revision": str(mod_revision)}


def txn(compare: Sequence[Json], success: Sequence[Json], failure: Sequence[Json] = ()) -> Request:
    """Return the request for one atomic step: `success` if all comparisons hold, else `failure`."""
    return Request("kv/txn", {"compare": [*compare], "success": [*success], "failure": [*failure]})


def watch(prefix: str, revision: int) -> Request:
    """Return the request to hear of changes of keys that begin with `prefix`, from a revision on."""
    keys = {"key": encoded(prefix), "range_end": encoded(prefix_end(prefix))}
    return Request("watch", {"create_request": {**keys, "start_revision": str(revision)}})


def txn_answer(answer: Json) -> TxnAnswer:
    """Read the answer to a transaction."""
    found = [
        [_key_value(kv) for kv in operation.get("response_range", {}).get("kvs", [])]
        for operation in answer.get("responses", [])
    ]
    return TxnAnswer(answer.get("succeeded", False), int(answer["header"]["revision"]), found)


def is_change(answer: Json) -> bool:
    """Say whether a watch tells of changes, or that it cannot tell of them any more."""
    result = answer.get("result", {})
    return bool(result.get("events") or result.get("canceled") or "error" in answer)


def failure(place: str, answer: Json) -> StoreError:
    """Return the error that an answer stands for."""
    error = answer.get("error")
    fields = error if isinstance(error, dict) else answer  # streams have it one level deeper
    code = fields.get("code", fields.get("grpc_code", 2))
    message = f"{place}: {fields.get('message') or error}"
    if code == _NOT_FOUND:
        return NotFound(message)
    return OutcomeUnknown(f"{message}; ask again") if code in _UNCERTAIN else StoreError(message)


def _key_value(kv: Json) -> KeyValue:
    numbers = (int(kv.get(name, 0)) for name in ("create_revision", "mod_revision", "version", "lease"))
    return KeyValue(b64decode(kv["key"]), b64decode(kv.get("value", "")), *numbers)


class Etcd:
    """A client of one etcd cluster, for any number of threads.

    Args:
        endpoints: `http://host:port` of its members; they are asked in turn until one can be reached.
        timeout: seconds to wait for a connection and for an answer.

    Raises:
        BackendUnavailable: urllib3 is not installed.
    """

    def __init__(self, endpoints: Sequence[str], timeout: float = 5.0) -> None:
        self.place = ", ".join(endpoints)
        self._endpoints = list(endpoints)
        self._timeout = timeout
        self._driver = _driver()
        self._pool = self._driver.PoolManager(maxsize=_CONNECTIONS, retries=False)

    def txn(
        self, compare: Sequence[Json], success: Sequence[Json], failure: Sequence[Json] = ()
    ) -> TxnAnswer:
        """Carry out one atomic step.

        Raises:
            NotFound: a lease that is named does not exist.
            StoreError: see `call`.
        """
        return txn_answer(self.call(txn(compare, success, failure)))

    def grant(self, seconds: int) -> int:
        """Return a new lease, which lasts for some seconds unless it is kept alive."""
        return int(self.call(Request("lease/grant", {"TTL": str(seconds)}))["ID"])

    def keep_alive(self, lease: int) -> bool:
        """Extend a lease by its time; say whether it still is one."""
        answer = self.call(Request("lease/keepalive", {"ID": str(lease)}))
        return int(answer.get("result", {}).get("TTL", 0)) > 0  # left out for an unknown lease

    def keep_all(self, leases: Sequence[int]) -> dict[int, bool]:
        """Extend leases by their times, several with a request; say of each whether it still is one."""
        alive: dict[int, bool] = {}
        while rest := [lease for lease in leases if lease not in alive]:
            first, *more = ({"ID": str(lease)} for lease in rest[:_AT_ONCE])
            for answer in self._answers(Request("lease/keepalive", first, tuple(more))):
                kept = answer["result"]
                alive[int(kept["ID"])] = int(kept.get("TTL", 0)) > 0
        return alive

    def remaining(self, lease: int) -> int:
        """Return how many whole seconds a lease lasts; -1 if there is none."""
        return int(self.call(Request("lease/timetolive", {"ID": str(lease)})).get("TTL", 0))

    def revoke(self, lease: int) -> None:
        """End a lease, and remove its keys; raises `NotFound` if there is none."""
        self.call(Request("lease/revoke", {"ID": str(lease)}))

    def call(self, request: Request) -> Json:
        """Ask, and return the answer.

        Raises:
            BackendUnavailable: no member can be reached; nothing happened.
            OutcomeUnknown: there was no answer, or one that leaves it open.
            StoreError: it was refused.
        """
        return self._answers(request)[0]

    def watch(self, request: Request) -> Watch:
        """Return a watch that nobody waits for yet."""
        return Watch(self, request)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _answers(self, request: Request) -> list[Json]:
        with self._opened(request, self._timeout) as response:
            answers = self._read(response)
        for answer in answers:
            if response.status != 200 or "error" in answer:
                raise failure(self.place, answer)
        return answers

    def _read(self, response: Any) -> list[Json]:
        try:
            first, *more = map(json.loads, response.data.splitlines())
        except ValueError:
            if not response.chunked and response.length_remaining is None:  # nor does it say how long it is
                raise OutcomeUnknown(f"{self.place} was cut off in its answer; ask again") from None
            raise StoreError(
                f"{self.place} is no etcd with a gateway of version 3: it answers {response.data[:100]!r}"
            ) from None
        except self._driver.exceptions.HTTPError as error:
            raise OutcomeUnknown(f"{self.place} did not answer ({error}); ask again") from error
        return [first, *more]

    def _opened(self, request: Request, seconds: float) -> Any:
        errors = self._driver.exceptions
        refusals = []
        for endpoint in list(self._endpoints):
            try:
                return self._sent(endpoint, request, seconds)
            except (errors.NewConnectionError, errors.ConnectTimeoutError) as error:
                refusals.append(error)
                self._endpoints.sort(key=endpoint.__eq__)  # is asked last from now on
            except errors.HTTPError as error:
                if not _is_distrust(error):
                    raise OutcomeUnknown(f"{endpoint} did not answer ({error}); ask again") from error
                refusals.append(error)
        raise BackendUnavailable(f"{self.place} cannot be reached ({refusals[0]})") from refusals[0]

    def _sent(self, endpoint: str, request: Request, seconds: float) -> Any:
        timeout = self._driver.Timeout(connect=self._timeout, read=seconds)
        url = f"{endpoint}/v3/{request.path}"
        body = b"".join(_DUMP(part).encode() for part in (request.body, *request.more))
        return self._pool.request("POST", url, body=body, timeout=timeout, preload_content=False)


class Watch:
    """Waits for a change; another thread may end the wait.

    Args:
        client: whom to ask.
        request: made by `watch`.
    """

    def __init__(self, client: Etcd, request: Request) -> None:
        self._client = client
        self._request = request
        self._response: Any = None
        self._stopped = False
        self._lock = threading.Lock()

    def wait(self, seconds: float, enough: Callable[[Json], bool] = is_change) -> None:
        """Return at the first change, when nothing was heard for `seconds`, or when it is stopped.

        Args:
            seconds: after which no further change is waited for.
            enough: says of an answer whether it is worth to return; of the first change, if none is given.

        Raises:
            StoreError: see `Etcd.call`.
        """
        errors = self._client._driver.exceptions
        with self._client._opened(self._request, seconds) as response:
            try:
                if self._begin(response):
                    until = time.monotonic() + seconds
                    any(enough(answer) or time.monotonic() >= until for answer in _lines(response))
            except errors.HTTPError:
                pass  # time is up, it was stopped, or the connection is cut: the next request tells
            finally:
                self._end()
                response.close()

    def stop(self) -> None:
        """End the wait under way, and all later ones."""
        with self._lock:
            self._stopped = True
            if self._response is not None:
                with suppress(OSError, RuntimeError, ValueError):  # it has just come to an end by itself
                    self._response.shutdown()

    def _begin(self, response: Any) -> bool:
        with self._lock:
            self._response = response
            return not self._stopped

    def _end(self) -> None:
        with self._lock:
            self._response = None


def _lines(response: Any) -> Iterator[Json]:
    rest = b""
    for chunk in response.stream(None):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (json.loads(line) for line in lines if line)


def _is_distrust(error: Exception) -> bool:
    """Say whether a connection was given up before anything was asked, for the server's certificate."""
    return bool(error.args) and isinstance(error.args[0], ssl.SSLCertVerificationError)


def _driver() -> Any:
    try:
        import urllib3
    except ImportError as error:
        raise BackendUnavailable("etcd needs urllib3; install ringfence[etcd]") from error
    return urllib3
