"""What holds over every store when a process forks that holds a lease."""

import os

from ringfence.locks.manager import LockManager


def check_that_a_child_leaves_all_to_its_parent(url: str, name: str = "x") -> None:
    """Hold a lock, fork a child that finds it taken and takes another, and go on holding."""
    with LockManager.from_url(url) as manager:
        lease = manager.lock(name, ttl=60).acquire()
        assert lease is not None
        child = os.fork()
        if child == 0:
            status = 1
            try:
                if not lease.valid and manager.lock(name).acquire(blocking=False) is None:
                    with manager.lock(f"{name}-child"):
                        status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        lease.extend()
        assert lease.release() is True
