"""The asyncio faces of ringfence, under the names that the synchronous ones have."""

from ringfence.aio.locks import Lease, Lock, LockManager

__all__ = ["Lease", "Lock", "LockManager"]
