"""A Redis Cluster of six real servers: every key goes to the node that the slot map names, and none is moved."""

import importlib
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ringfence.compat.redis_cluster import SLOTS, SlotMap, slot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),
]  # what others' imports warn of is theirs

HOST = "127.0.0.1"
KEYS = 10000


def free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline, "the cluster did not come up"
        time.sleep(0.05)


def start(binary: str, port: int, bus: int, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    options = {
        "port": port,
        "bind": HOST,
        "cluster-enabled": "yes",
        "cluster-port": bus,
        "dir": folder,
        "save": "",
        "appendonly": "no",
        "logfile": folder / "log",
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return subprocess.Popen([binary, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Any]]:
    """Yield a client for each server by its port: three primaries with a replica each."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.fail("redis-server is missing: install the package redis-server")
    try:
        client = importlib.import_module("redis").Redis
    except ModuleNotFoundError:
        pytest.fail("redis is missing: pip install --group compat-test")
    folder = tmp_path_factory.mktemp("cluster")
    numbers = free_ports(12)
    ports, buses = numbers[:6], numbers[6:]
    servers = [start(binary, port, bus, folder / str(port)) for port, bus in zip(ports, buses, strict=True)]
    try:
        with ExitStack() as clients:
            by_port = {port: clients.enter_context(client(host=HOST, port=port)) for port in ports}
            join(by_port, dict(zip(ports, buses, strict=True)))
            yield by_port
    finally:
        for server in servers:
            server.kill()
            server.wait()


def join(by_port: dict[int, Any], buses: dict[int, int]) -> None:
    """Make one cluster of the servers: three primaries that share the slots, and three replicas."""
    ports = list(by_port)
    for port in ports:
        until(lambda port=port: answers(by_port[port]))  # type: ignore[misc]
        by_port[port].execute_command("CLUSTER MEET", HOST, ports[0], buses[ports[0]])
    for i, port in enumerate(ports[:3]):
        bounds = (SLOTS * i // 3, SLOTS * (i + 1) // 3 - 1)
        by_port[port].execute_command("CLUSTER ADDSLOTSRANGE", *bounds)
    until(lambda: all(info(node)["cluster_known_nodes"] == "6" for node in by_port.values()))
    for primary, replica in zip(ports[:3], ports[3:], strict=True):
        number = by_port[primary].execute_command("CLUSTER MYID")
        by_port[replica].execute_command("CLUSTER REPLICATE", number)
    until(lambda: all(info(node)["cluster_state"] == "ok" for node in by_port.values()))
    until(lambda: all(len(row) == 4 for row in raw(by_port[ports[0]], "CLUSTER SLOTS")))


def answers(node: Any) -> bool:
    try:
        return bool(node.ping())
    except OSError:
        return False
    except importlib.import_module("redis").exceptions.ConnectionError:
        return False


def info(node: Any) -> dict[str, str]:
    text = raw(node, "CLUSTER INFO").decode()
    return dict(line.split(":", 1) for line in text.splitlines())


def raw(node: Any, command: str) -> Any:
    """Return an answer as the server gives it, without the client's callbacks."""
    connection = node.connection_pool.get_connection()
    try:
        connection.send_command(*command.split())
        return connection.read_response()
    finally:
        node.connection_pool.release(connection)


def test_no_key_is_moved(nodes: dict[int, Any]) -> None:
    chance = random.Random(7)
    first = next(iter(nodes.values()))
    made = SlotMap.from_slots(raw(first, "CLUSTER SLOTS"))
    assert len(made.nodes) == 3
    keys = [chance.randbytes(chance.randrange(1, 30)) for _ in range(KEYS // 2)]
    keys += [f"{{user:{chance.randrange(1000)}}}:{i}".encode() for i in range(KEYS // 2)]
    pipelines = {
        address: nodes[int(address.rpartition(":")[2])].pipeline(transaction=False) for address in made.nodes
    }
    for key in keys:
        pipelines[made[key]].set(key, b"")
    stored = [
        answer for pipeline in pipelines.values() for answer in pipeline.execute()
    ]  # a MOVED would be raised
    assert stored == [True] * KEYS
    assert [made.nodes[i] for i in made.lookup_many(keys)] == [made[key] for key in keys]
    for key in keys[:200]:
        assert first.execute_command("CLUSTER KEYSLOT", key) == slot(key)


def test_both_commands_give_one_map(nodes: dict[int, Any]) -> None:
    first = next(iter(nodes.values()))
    by_slots, by_shards = (
        SlotMap.from_slots(raw(first, "CLUSTER SLOTS")),
        SlotMap.from_shards(raw(first, "CLUSTER SHARDS")),
    )
    assert sorted(by_slots.nodes) == sorted(by_shards.nodes)
    for i in range(300):
        assert by_slots.replicas(f"key{i}", 2) == by_shards.replicas(f"key{i}", 2)
        assert len(by_slots.replicas(f"key{i}", 2)) == 2
