"""Asking a Redis to run a script: what was not sent did not happen, what was sent and not answered is unknown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ringfence import _redis
from ringfence.errors import InvalidValue, OutcomeUnknown, StoreError
from ringfence.transactions.participants.redis.scripts import Script

PATIENCE = 5.0
"""Seconds to wait for a connection, and for each answer."""

AT_ONCE = 500
"""Requests sent before the first answer is read."""

Words = Sequence[str | bytes | int]


class Server:
    """A Redis that threads ask; each request has a connection of its own, from a pool.

    Args:
        url: `redis://`, `rediss://`, `unix://` or `redis+sentinel://`, with the options of redis-py.

    Raises:
        BackendUnavailable: redis-py is not installed.
        InvalidValue: redis-py does not understand the URL.
    """

    def __init__(self, url: str) -> None:
        self.place = _redis.where(url)
        self._client = _redis.client(url, timeout=PATIENCE)

    def evaluate(self, script: Script, keys: Sequence[str], arguments: Words) -> Any:
        """Run a script, and return its answer.

        Raises:
            BackendUnavailable: the server cannot be reached; nothing was sent.
            OutcomeUnknown: no answer.
            StoreError: the server refused; nothing was done.
        """
        return self.send(script, keys, arguments)()

    def send(self, script: Script, keys: Sequence[str], arguments: Words) -> Callable[[], Any]:
        """Send what `evaluate` does; return what waits for the answer and gives it."""
        pool, connection = self._connected()
        rest = (len(keys), *keys, *arguments)
        try:
            with _redis.translating(self.place, sent=True):
                connection.send_command("EVALSHA", script.sha, *rest)
        except BaseException as error:
            _release(pool, connection, error)
            raise
        return partial(self._receive, pool, connection, ("EVAL", script.text, *rest))

    def evaluate_many(self, requests: Sequence[tuple[Script, Sequence[str], Words]]) -> list[Any]:
        """Run scripts, some hundreds under way at once; return their answers, `StoreError` standing for a refusal.

        Raises:
            BackendUnavailable: the server cannot be reached; nothing was sent.
            OutcomeUnknown: no answer, perhaps not even to those that were carried out.
        """
        answers: list[Any] = []
        pool, connection = self._connected()
        error: BaseException | None = None
        try:
            with _redis.translating(self.place, sent=True):
                for start in range(0, len(requests), AT_ONCE):
                    answers += _answers(connection, requests[start : start + AT_ONCE])
        except BaseException as raised:
            error = raised
            raise
        finally:
            _release(pool, connection, error)
        return answers

    def ask(self, *words: str) -> Any:
        """Return the answer to a command that changes nothing."""
        with _redis.translating(self.place):
            return self._client.execute_command(*words)

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._client.close()

    def _connected(self) -> tuple[Any, Any]:
        """Return a connection that can be used, and the pool that it goes back to."""
        pool = self._client.connection_pool
        with _redis.translating(self.place):
            connection = pool.get_connection()
            try:
                if connection.can_read():  # the server has hung up, or an answer was left unread
                    connection.disconnect()
                    connection.connect()
            except BaseException as error:
                _release(pool, connection, error)
                raise
            return pool, connection

    def _receive(self, pool: Any, connection: Any, whole: tuple[Any, ...]) -> Any:
        try:
            with _redis.translating(self.place, sent=True):
                answer = _answer(connection, whole)
        except BaseException as error:
            _release(pool, connection, error)
            raise self._explained(error) from error.__cause__
        _release(pool, connection)
        return answer

    def _explained(self, error: BaseException) -> BaseException:
        """Return the error to raise; one of a cluster says what to write."""
        return of_cluster(self.place) if is_of_cluster(error) else error


class AioServer:
    """A Redis that tasks ask; see `Server`."""

    def __init__(self, url: str) -> None:
        self.place = _redis.where(url)
        self._client = _redis.aclient(url, timeout=PATIENCE)

    async def evaluate(self, script: Script, keys: Sequence[str], arguments: Words) -> Any:
        """Run a script, and return its answer; raises as `Server.evaluate`."""
        pool, connection = await self._connected()
        error: BaseException | None = None
        try:
            with _redis.translating(self.place, sent=True):
                return await _aanswer(connection, script, (len(keys), *keys, *arguments))
        except BaseException as raised:
            error = raised
            raise self._explained(error) from error.__cause__
        finally:
            if _leaves_unread(error):
                await connection.disconnect(nowait=True)
            await pool.release(connection)

    async def ask(self, *words: str) -> Any:
        """Return the answer to a command that changes nothing."""
        with _redis.translating(self.place):
            return await self._client.execute_command(*words)

    async def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        await self._client.aclose()

    async def _connected(self) -> tuple[Any, Any]:
        pool = self._client.connection_pool
        with _redis.translating(self.place):
            return pool, await pool.get_connection()

    def _explained(self, error: BaseException) -> BaseException:
        return of_cluster(self.place) if is_of_cluster(error) else error


def is_of_cluster(error: BaseException) -> bool:
    """Was a request refused since its keys are on other nodes of a cluster? Then nothing was changed."""
    from redis import exceptions

    kinds = (exceptions.AskError, exceptions.TryAgainError, exceptions.ClusterCrossSlotError)
    return isinstance(error.__cause__, kinds) or "non local key" in str(error.__cause__)


def of_cluster(place: str) -> InvalidValue:
    """The error for a node of a cluster that is taken for a server of its own."""
    return InvalidValue(
        f"{place} is a node of a Redis Cluster; write redis+cluster://host:port,host:port?tag=NAME, and {{NAME}} in "
        "each key"
    )


def _release(pool: Any, connection: Any, error: BaseException | None = None) -> None:
    """Give a connection back; after an error nobody else may read the answer that is still to come."""
    if _leaves_unread(error):
        connection.disconnect()
    pool.release(connection)


def _answer(connection: Any, whole: tuple[Any, ...]) -> Any:
    """Wait for an answer; ask with the script's text when the server does not have it (any more)."""
    from redis.exceptions import NoScriptError

    try:
        return connection.read_response()
    except NoScriptError:
        connection.send_command(*whole)
        return connection.read_response()


def _answers(connection: Any, requests: Sequence[tuple[Script, Sequence[str], Words]]) -> list[Any]:
    """Send scripts, each with the text at its first use, and read the answers."""
    from redis.exceptions import ResponseError

    known: set[Script] = set()
    commands = []
    for script, keys, arguments in requests:
        how = ("EVALSHA", script.sha) if script in known else ("EVAL", script.text)
        known.add(script)
        commands.append((*how, len(keys), *keys, *arguments))
    connection.send_packed_command(connection.pack_commands(commands))
    answers: list[Any] = []
    for _ in requests:
        try:
            answers.append(connection.read_response())
        except ResponseError as refusal:
            answers.append(StoreError(f"the server refused ({refusal})"))
    return answers


async def _aanswer(connection: Any, script: Script, rest: tuple[Any, ...]) -> Any:
    from redis.exceptions import NoScriptError

    try:
        await connection.send_command("EVALSHA", script.sha, *rest)
        return await connection.read_response()
    except NoScriptError:
        await connection.send_command("EVAL", script.text, *rest)
        return await connection.read_response()


def _leaves_unread(error: BaseException | None) -> bool:
    """Say whether an error may leave an answer under way: all but a refusal, which is one itself."""
    return error is not None and (not isinstance(error, StoreError) or isinstance(error, OutcomeUnknown))
