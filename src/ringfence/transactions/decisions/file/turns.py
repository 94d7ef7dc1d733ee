"""Group commit: of the threads that have something to write, one writes for all that came while another wrote.

(Gawlick and Kinkade, "Varieties of Concurrency Control in IMS/VS Fast Path", 1985; DeWitt et al., 1984.)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


class Group:
    """Records that are written together, and what came of it."""

    __slots__ = ("changed", "done", "error", "leader", "records")

    def __init__(self) -> None:
        self.records: list[str] = []
        self.error: BaseException | None = None
        self.leader: int | None = None
        self.done = False
        self.changed: threading.Condition | None = None  # for those who wait for it


class Turns:
    """Collects records into groups and writes one group at a time; nobody waits for more to come.

    When a group was written, those are woken whose records are in it, and one of those in the next, to write that.

    Args:
        write: writes a group and returns when it is on the disk.
    """

    def __init__(self, write: Callable[[Sequence[str]], None]) -> None:
        self._write = write
        self._turn = threading.Lock()
        self._writing = False
        self._next = Group()

    def add(self, record: str) -> Group:
        """Put a record into the group that is written next; call it where records are ordered."""
        with self._turn:
            self._next.records.append(record)
            return self._next

    def write_all(self) -> None:
        """Return when all that was put into groups has been written."""
        with self._turn:
            group = self._next
        self.finish(group)

    def finish(self, group: Group) -> None:
        """Return when a group was written, by this thread or another; `group.error` says why it was not.

        Only what interrupts this thread is raised, and then the group has that error.
        """
        me = threading.get_ident()
        try:
            self._lead_or_follow(group, me)
            if group.leader == me and not group.done and group.records:
                self._write(group.records)
        except BaseException as error:
            if group.leader == me:
                group.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            if group.leader == me and not group.done:
                self._end(group)

    def _lead_or_follow(self, group: Group, me: int) -> None:
        """Wait until the group was written, or it is for this thread to do it."""
        with self._turn:
            while self._writing and not group.done:
                self._wait(group)
            if not group.done:  # nobody writes, so it is the next one
                group.leader = me
                self._writing, self._next = True, Group()

    def _wait(self, group: Group) -> None:
        if group.changed is None:
            group.changed = threading.Condition(self._turn)
        try:
            group.changed.wait()
        except BaseException:
            group.changed.notify()  # it may have been this thread's turn, and now is another's
            raise

    def _end(self, group: Group) -> None:
        with self._turn:
            group.done, self._writing = True, False
            if self._next is group:  # an interrupt came before there was another
                self._next = Group()
            if group.changed is not None:
                group.changed.notify_all()
            if self._next.changed is not None:
                self._next.changed.notify()
