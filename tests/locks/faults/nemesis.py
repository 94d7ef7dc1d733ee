"""What goes wrong, and is over when the function returns; each is given the place where it happens."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from ringfence.testing.proxy import BOTH, Proxy
from ringfence.testing.servers.server import Server
from tests.locks.faults.crew import Crew
from tests.locks.faults.worker import TTL

OUTAGE = 1.5
"""Seconds for which something is gone: longer than any lease, and than a client waits for an answer."""
SILENCE = 4.5
"""Seconds of silence after which a server has surely ended a session of 3 s."""


@dataclass
class Scene:
    """Where things go wrong: some workers reach the server through the proxy, the others directly."""

    crew: Crew
    chance: random.Random
    server: Server | None = None
    proxy: Proxy | None = None


Fault = Callable[[Scene], None]


def holder_killed(scene: Scene) -> None:
    """SIGKILL while it holds."""
    scene.crew.replace(scene.crew.stop_a_holder())


def holder_stopped(scene: Scene) -> None:
    """SIGSTOP while it holds, until its lease is over."""
    worker = scene.crew.stop_a_holder()
    time.sleep(TTL * 1.5)
    scene.crew.resume(worker)


def holder_silent(scene: Scene) -> None:
    """SIGSTOP while it holds, until its session is over."""
    worker = scene.crew.stop_a_holder()
    time.sleep(SILENCE)
    scene.crew.resume(worker)


def server_killed(scene: Scene) -> None:
    """SIGKILL; its disk stays."""
    server = the_server(scene)
    server.kill()
    server.start()


def server_stopped(scene: Scene) -> None:
    """SIGSTOP for longer than a lease."""
    server = the_server(scene)
    server.pause()
    try:
        time.sleep(OUTAGE)
    finally:
        server.resume()


def server_restarted(scene: Scene) -> None:
    """SIGTERM; its disk stays."""
    the_server(scene).restart()


def server_emptied(scene: Scene) -> None:
    """It comes back without its disk."""
    the_server(scene).restart(keep_disk=False)


def connections_cut(scene: Scene) -> None:
    """Every connection ends in order, and then again by a reset."""
    the_proxy(scene).cut()
    time.sleep(scene.chance.uniform(0.0, 0.2))
    the_proxy(scene).reset()


def connections_cut_anywhere(scene: Scene) -> None:
    """A connection ends in the middle of a request or of a reply."""
    for _ in range(10):
        the_proxy(scene).cut_after(scene.chance.randrange(1, 400), scene.chance.choice(BOTH))
        time.sleep(0.05)


def connections_slow(scene: Scene) -> None:
    """Each piece takes a while, and then nothing comes through for longer than a lease."""
    proxy = the_proxy(scene)
    proxy.latency(0.05)
    time.sleep(0.5)
    proxy.latency(0.0)
    proxy.hold()
    time.sleep(OUTAGE)
    proxy.flow()


def connections_silent(scene: Scene) -> None:
    """Nothing comes through until the sessions are over."""
    the_proxy(scene).hold()
    time.sleep(SILENCE)
    the_proxy(scene).flow()


def connections_half_open(scene: Scene) -> None:
    """The server has gone, and the clients have not heard of it."""
    the_proxy(scene).half_open()


def replies_lost(scene: Scene) -> None:
    """The server has done what was asked, and nobody knows."""
    for _ in range(10):
        the_proxy(scene).lose_reply(scene.chance.randrange(1, 10))
        time.sleep(0.05)


def the_server(scene: Scene) -> Server:
    assert scene.server is not None
    return scene.server


def the_proxy(scene: Scene) -> Proxy:
    assert scene.proxy is not None
    return scene.proxy


OF_HOLDERS: tuple[Fault, ...] = (holder_killed, holder_stopped)
OF_SERVERS: tuple[Fault, ...] = (server_killed, server_stopped, server_restarted)
OF_CONNECTIONS: tuple[Fault, ...] = (
    connections_cut,
    connections_cut_anywhere,
    connections_slow,
    connections_half_open,
    replies_lost,
)
OF_SESSIONS: tuple[Fault, ...] = (holder_silent, connections_silent)
