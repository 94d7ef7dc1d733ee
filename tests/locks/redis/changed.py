"""Other text in the scripts of the lock store, for as long as a test lasts."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from hashlib import sha1
from typing import Any

from ringfence.locks.stores.redis import requests, scripts, shared_requests, shared_scripts
from ringfence.locks.stores.redis.scripts import Script
from ringfence.testing.switches.replaced import replaced

NAMES = ("GRANT", "RENEW", "RELEASE", "WITHDRAW", "STATUS")


@contextmanager
def changed(*changes: tuple[str, str], shared: bool = False) -> Iterator[None]:
    """Replace text in the scripts of plain or of shared locks."""
    module: Any = shared_scripts if shared else scripts
    users = (shared_requests, shared_scripts) if shared else (requests, scripts)
    new = {name: edited(getattr(module, name), changes) for name in NAMES}
    assert any(new[name] != getattr(module, name) for name in NAMES), "the text is not there any more"
    with ExitStack() as until:
        for user in users:
            for name in NAMES:
                if hasattr(user, name):
                    until.enter_context(replaced(user, name, new[name]))
        until.enter_context(replaced(module, "SCRIPTS", tuple(new.values())))
        until.callback(forget_packed)
        forget_packed()
        yield


def forget_packed() -> None:
    """Let requests be packed anew, with the scripts that stand there now."""
    requests._grant.cache_clear()
    requests._release.cache_clear()


def edited(script: Script, changes: tuple[tuple[str, str], ...]) -> Script:
    text = script.text
    for old, new in changes:
        text = text.replace(old, new)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest(), script.keys)
