"""Asking a Redis to run a script: what was not sent did not happen, what was sent and not answered is unknown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from ringfence import _redis
from ringfence.errors import BackendUnavailable, InvalidValue, OutcomeUnknown, StoreError
from ringfence.transactions.participants.redis.scripts import Script

PATIENCE = 5.0
"""Seconds to wait for a connection, and for each answer."""

AT_ONCE = 500
"""Requests sent before the first answer is read."""

Words = Sequence[str | bytes | int]

Request: TypeAlias = tuple[Script, Sequence[str], Words]
"""A script, its keys and its arguments."""


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
            raise self._failed(pool, connection, error) from error.__cause__
        return partial(self._receive, pool, connection, ("EVAL", script.text, *rest))

    def evaluate_many(self, requests: Sequence[Request]) -> list[Any]:
        """Run scripts, some hundreds under way at once; return their answers, an error standing for a refusal.

        Raises:
            BackendUnavailable: the server cannot be reached; nothing was sent.
            OutcomeUnknown: no answer, perhaps not even to those that were carried out.
        """
        answers: list[Any] = []
        pool, connection = self._connected()
        try:
            with _redis.translating(self.place, sent=True):
                for start in range(0, len(requests), AT_ONCE):
                    answers += _answers(connection, requests[start : start + AT_ONCE])
        except BaseException as error:
            raise self._failed(pool, connection, error) from error.__cause__
        _release(pool, connection)
        return [self._explained(answer) if isinstance(answer, StoreError) else answer for answer in answers]

    def ask(self, *words: str) -> Any:
        """Return the answer to a command that changes nothing."""
        client = self._reached()
        try:
            with _redis.translating(self.place):
                return client.execute_command(*words)
        except StoreError as error:
            raise self._explained(error) from error.__cause__

    def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        self._client.close()

    def _reached(self) -> Any:
        """The client of the server to ask now."""
        return self._client

    def _connected(self) -> tuple[Any, Any]:
        """Return a connection that can be used, and the pool that it goes back to."""
        pool = self._reached().connection_pool
        try:
            with connecting(self.place):
                return pool, _sound(pool)
        except StoreError as error:
            raise self._explained(error) from error.__cause__

    def _receive(self, pool: Any, connection: Any, whole: tuple[Any, ...]) -> Any:
        try:
            with _redis.translating(self.place, sent=True):
                answer = _answer(connection, whole)
        except BaseException as error:
            raise self._failed(pool, connection, error) from error.__cause__
        _release(pool, connection)
        return answer

    def _failed(self, pool: Any, connection: Any, error: BaseException) -> BaseException:
        """Give a connection back after an error, and return what to raise."""
        _release(pool, connection, error)
        return self._explained(error)

    def _explained(self, error: BaseException) -> BaseException:
        """Return the error to raise; one of a cluster says what to write. After silence no connection is trusted."""
        if isinstance(
            error, OutcomeUnknown
        ):  # another server may have taken over, and the rest be silent, too
            self._client.connection_pool.disconnect(inuse_connections=False)
        return of_cluster(self.place) if is_of_cluster(error) else error


class AioServer:
    """A Redis that tasks ask; see `Server`."""

    def __init__(self, url: str) -> None:
        self.place = _redis.where(url)
        self._client = _redis.aclient(url, timeout=PATIENCE)

    async def evaluate(self, script: Script, keys: Sequence[str], arguments: Words) -> Any:
        """Run a script, and return its answer; raises as `Server.evaluate`."""
        return await self._with_connection(
            lambda connection: _aanswer(connection, script, (len(keys), *keys, *arguments))
        )

    async def evaluate_many(self, requests: Sequence[Request]) -> list[Any]:
        """Run scripts, some hundreds under way at once; see `Server.evaluate_many`."""
        answers = await self._with_connection(lambda connection: _all_aanswers(connection, requests))
        return [
            await self._explained(answer) if isinstance(answer, StoreError) else answer for answer in answers
        ]

    async def ask(self, *words: str) -> Any:
        """Return the answer to a command that changes nothing."""
        client = await self._reached()
        try:
            with _redis.translating(self.place):
                return await client.execute_command(*words)
        except StoreError as error:
            raise await self._explained(error) from error.__cause__

    async def close(self) -> None:
        """Close the connections. Closing twice is harmless."""
        await self._client.aclose()

    async def _reached(self) -> Any:
        return self._client

    async def _with_connection(self, work: Callable[[Any], Awaitable[Any]]) -> Any:
        """Have something asked over a connection, and give that back."""
        pool, connection = await self._connected()
        error: BaseException | None = None
        try:
            with _redis.translating(self.place, sent=True):
                return await work(connection)
        except BaseException as raised:
            error = raised
            raise await self._explained(error) from error.__cause__
        finally:
            if _leaves_unread(error) or self._is_left(pool):
                await connection.disconnect(nowait=True)
            await pool.release(connection)

    async def _connected(self) -> tuple[Any, Any]:
        pool = (await self._reached()).connection_pool
        try:
            with connecting(self.place):
                return pool, await pool.get_connection()
        except StoreError as error:
            raise await self._explained(error) from error.__cause__

    def _is_left(self, pool: Any) -> bool:
        """Will nobody ask for connections of that pool any more?"""
        return self._client is None or self._client.connection_pool is not pool

    async def _explained(self, error: BaseException) -> BaseException:
        if isinstance(error, OutcomeUnknown):
            await self._client.connection_pool.disconnect(inuse_connections=False)
        return of_cluster(self.place) if is_of_cluster(error) else error


@contextmanager
def connecting(place: str) -> Iterator[None]:
    """Translate errors of connecting: even when there was no answer, nothing was asked for.

    Raises:
        BackendUnavailable: there is no connection.
        StoreError: the server refused.
    """
    try:
        with _redis.translating(place):
            yield
    except OutcomeUnknown as error:
        raise BackendUnavailable(
            f"{place} cannot be reached ({error.__cause__}); see that a server runs there and that the URL fits it"
        ) from error.__cause__


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


def _sound(pool: Any) -> Any:
    """Take a connection from a pool: one that the server has not hung up, and on which no answer was left unread."""
    connection = pool.get_connection()
    try:
        if connection.can_read():
            connection.disconnect()
            connection.connect()
    except BaseException as error:
        _release(pool, connection, error)
        raise
    return connection


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


def _answers(connection: Any, requests: Sequence[Request]) -> list[Any]:
    """Send scripts, each with the text at its first use, and read the answers."""
    from redis.exceptions import ResponseError

    connection.send_packed_command(connection.pack_commands(_commands(requests)))
    answers: list[Any] = []
    for _ in requests:
        try:
            answers.append(connection.read_response())
        except ResponseError as refusal:
            answers.append(_refused(refusal))
    return answers


async def _all_aanswers(connection: Any, requests: Sequence[Request]) -> list[Any]:
    from redis.exceptions import ResponseError

    answers: list[Any] = []
    for start in range(0, len(requests), AT_ONCE):
        some = requests[start : start + AT_ONCE]
        await connection.send_packed_command(connection.pack_commands(_commands(some)))
        for _ in some:
            try:
                answers.append(await connection.read_response())
            except ResponseError as refusal:
                answers.append(_refused(refusal))
    return answers


def _commands(requests: Sequence[Request]) -> list[tuple[Any, ...]]:
    known: set[Script] = set()
    commands = []
    for script, keys, arguments in requests:
        how = ("EVALSHA", script.sha) if script in known else ("EVAL", script.text)
        known.add(script)
        commands.append((*how, len(keys), *keys, *arguments))
    return commands


def _refused(refusal: Exception) -> StoreError:
    found = StoreError(f"the server refused ({refusal})")
    found.__cause__ = refusal
    return found


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
