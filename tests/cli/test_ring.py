"""`ringfence ring`: keys in, owners, loads and plans out; and a clear word when something is wrong."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ringfence.cli import main
from ringfence.cli.ring import keys, nodes, progress
from ringfence.errors import InvalidValue
from ringfence.placement import HashRing, Node

Run = Callable[..., tuple[int, str, str]]
RING = HashRing(["a", "b", "c"])
KEYS = [f"user:{number}" for number in range(500)]
YAML = "- a\n- {name: b, weight: 2, zone: east, size: 4GB}\n"


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Run:
    def command(*arguments: str, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(["ring", *arguments])
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return code, out.decode("utf-8", "surrogateescape"), err.decode()

    return command


def test_lookup(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    path.write_text("\n".join(KEYS))
    wanted = [f"{key}\t{RING[key]}" for key in KEYS]
    assert run("lookup", "a", "b", "c", "--keys", str(path)) == (0, "\n".join(wanted) + "\n", "")
    _, out, _ = run("lookup", "a", "b", "c", stdin=path.read_bytes())
    assert out.splitlines() == wanted


def test_lookup_of_replicas_as_json(run: Run) -> None:
    _, out, _ = run("lookup", "c", "b", "a", "--replicas", "2", "--json", stdin='é"\nx\n'.encode())
    assert [json.loads(line) for line in out.splitlines()] == [
        {"key": key, "nodes": list(RING.replicas(key, 2))} for key in ('é"', "x")
    ]


def test_lookup_heeds_weights_vnodes_and_seed(run: Run) -> None:
    ring = HashRing({"a": 2.5, "b": 1.0}, vnodes=7, seed=3)
    _, out, _ = run("lookup", "a=2.5", "b", "--vnodes", "7", "--seed", "3", stdin="\n".join(KEYS).encode())
    assert out.splitlines() == [f"{key}\t{ring[key]}" for key in KEYS]


def test_lookup_of_bytes_that_are_no_utf8(run: Run) -> None:
    _, out, _ = run("lookup", "a", "b", "c", stdin=b"\xff\r\n\r\n\nx\ry\r\n")
    assert out.encode("utf-8", "surrogateescape").split(b"\n") == [
        b"\xff\t" + RING[b"\xff"].encode(), b"x\ry\t" + RING[b"x\ry"].encode(), b"",
    ]  # fmt: skip
    code, _, err = run("lookup", "a", "--json", stdin=b"\xff")
    assert code == 2
    assert "not UTF-8" in err


def test_load_is_exact_or_counted(run: Run) -> None:
    _, out, _ = run("load", "a=2", "b", "--json")
    found = json.loads(out)["nodes"]
    ring = HashRing({"a": 2, "b": 1})
    assert [(row["name"], row["part"]) for row in found] == [(k, float(v)) for k, v in ring.load().items()]
    assert [row["ideal"] for row in found] == [2 / 3, 1 / 3]
    _, out, _ = run("load", "a", "b", "c", "--json", "--keys", "-", stdin="\n".join(KEYS).encode())
    owners = [RING[key] for key in KEYS]
    assert {row["name"]: row["keys"] for row in json.loads(out)["nodes"]} == {
        n: owners.count(n) for n in "abc"
    }
    assert json.loads(out)["nodes"][0]["part"] == owners.count("a") / len(KEYS)


def test_load_as_a_table(run: Run) -> None:
    _, out, _ = run("load", "a", "b")
    lines = out.splitlines()
    assert lines[0].split() == ["node", "weight", "ideal", "part", "of", "ideal"]
    assert lines[1].split()[:3] == ["a", "1", "50.00%"]
    assert lines[-1].startswith("fullest: ")
    _, out, _ = run("load", "a", "--keys", "-")
    assert out.splitlines()[1].split()[-1] == "0"


def test_plan(run: Run) -> None:
    new = HashRing({"b": 2, "c": 1, "d": 1.5})
    arguments = ["plan", "a", "b", "c", "--remove", "a", "--weight", "b=2", "--add", "d=1.5"]
    sizes = ["--size", "a=5GB", "--size", "b=4KiB", "--size", "c=7"]
    _, out, _ = run(*arguments, *sizes)
    assert out == f"{RING.diff(new).plan({'a': 5 * 10**9, 'b': 4096, 'c': 7})}\n"
    _, out, _ = run(*arguments, "--json", "--keys", "-", stdin="\n".join(KEYS).encode())
    moving = sum(RING[key] != new[key] for key in KEYS)
    assert json.loads(out) == RING.diff(new).plan().as_dict() | {"keys": 500, "keys_affected": moving}
    _, out, _ = run(*arguments, "--keys", "-", stdin="\n".join(KEYS).encode())
    assert out.endswith(f"\n{moving} of 500 keys move\n")


def test_plan_from_file_to_file(run: Run, tmp_path: Path) -> None:
    now, then = tmp_path / "now.yaml", tmp_path / "then.json"
    now.write_text("- {name: a, size: 10}\n- {name: b, weight: 2, size: 1kB}\n")
    then.write_text('{"a": 1, "b": 1, "c": 0.5}')
    _, out, _ = run("plan", "--nodes", str(now), "--to", str(then), "--json")
    migration = HashRing({"a": 1, "b": 2}).diff(HashRing({"a": 1, "b": 1, "c": 0.5}))
    assert json.loads(out) == migration.plan({"a": 10, "b": 1000}).as_dict()


def test_another_hash(run: Run, tmp_path: Path) -> None:
    ring = HashRing(["a", "b", "c"], hash="md5")
    _, out, _ = run("lookup", "a", "b", "c", "--hash", "md5", stdin="\n".join(KEYS).encode())
    assert out == "".join(f"{key}\t{ring[key]}\n" for key in KEYS)
    then = tmp_path / "then.json"
    then.write_text('["a", "b", "c", "d"]')
    moving = sum(ring[key] != ring.with_node("d")[key] for key in KEYS)
    for change in (["--add", "d"], ["--to", str(then)]):
        arguments = ["plan", "a", "b", "c", "--hash", "md5", "--json", "--keys", "-", *change]
        _, out, _ = run(*arguments, stdin="\n".join(KEYS).encode())
        assert json.loads(out)["keys_affected"] == moving
    with pytest.raises(SystemExit):
        run("lookup", "a", "--hash", "md4")


def test_plot(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "plan.svg"
    assert run("plot", "a", "b", "--add", "c", "--output", str(path)) == (0, f"drawn: {path}\n", "")
    assert path.read_text(encoding="utf-8").startswith("<?xml")
    _, out, _ = run("plot", "a", "b", "--add", "c", "--output", str(path), "--json")
    assert json.loads(out)["fraction"] == HashRing(["a", "b"]).diff(RING).fraction


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.json", '["a", {"name": "b", "weight": 2, "zone": "east", "size": "4GB"}]', None),
        ("x.yaml", YAML, None),
        ("x.YML", YAML, None),
        ("x.json", '{"a": 1, "b": 2}', [Node("a"), Node("b", 2)]),
        ("x.yaml", "a: 1\nb: 2.0\n", [Node("a"), Node("b", 2)]),
        (
            "x.yaml",
            "- &one {name: a, weight: 1}\n- {<<: *one, name: b, weight: 2}\n",
            [Node("a"), Node("b", 2)],
        ),
    ],
)
def test_files_of_nodes(name: str, text: str, expected: list[Node] | None, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    found = nodes.read(tmp_path / name)
    assert found.nodes == (expected or [Node("a"), Node("b", 2, "east")])
    assert found.sizes == ({} if expected else {"b": 4 * 10**9})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.json", "[", "not JSON"),
        ("x.json", '{"a": 1, "a": 2}', "'a' stands there twice"),
        ("x.yaml", "a: 1\na: 2", "'a' stands there twice"),
        ("x.yaml", "a: [", "not YAML"),
        ("x.yaml", "? [a]\n: 1", "not YAML"),
        ("x.yaml", "!!python/object/apply:os.getcwd []", "not YAML"),
        ("x.yaml", "no: 1", "must be a str, not bool"),
        ("x.yaml", "", "not None"),
        ("x.yaml", "a: 2024-13-01", "not YAML"),
        ("x.json", f'{{"a": {"9" * 5000}}}', "not JSON"),
        ("x.json", f'{{"a": {"9" * 400}}}', "finite"),
        ("x.json", "[" * 100_000, "not JSON"),
        ("x.json", "3", "not 3"),
        ("x.json", "[3]", "not int"),
        ("x.json", '[{"weight": 3}]', "no name"),
        ("x.json", '[{"name": "a", "wieght": 3}]', "no 'wieght'"),
        ("x.json", '[{"name": ["a"], "size": 3}]', "not list"),
        ("x.json", '[{"name": "a", "size": "big"}]', "'big'"),
        ("x.json", '{"a": "1"}', "not str"),
        ("x.json", '{"a": NaN}', "nan"),
        ("x.toml", "", r"\*\.json, \*\.yaml or \*\.yml"),
    ],
)
def test_wrong_files_of_nodes(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidValue, match=words) as error:
        nodes.read(tmp_path / name)
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("load", "there are no nodes"),
        ("load a --nodes x.json", "both as arguments and by --nodes"),
        ("load --nodes missing.json", "No such file or directory"),
        ("load --nodes .", "Is a directory"),
        ("load a a", "two nodes are named 'a'"),
        ("load a=", "'a=' is not NAME=VALUE"),
        ("load a=x", "the weight 'x' is not a number"),
        ("load a=nan", "finite and above 0"),
        ("load a --vnodes 0", "vnodes must be at least 1"),
        ("load a --keys missing.txt", "No such file or directory"),
        ("load a --keys .", "Is a directory"),
        ("lookup a --replicas 0", "must be"),
        ("plan a --remove b", "no node 'b'"),
        ("plan a --add a", "a node 'a' already"),
        ("plan a --weight b=1", "no node 'b'"),
        ("plan a --weight a", "'a' is not NAME=VALUE"),
        ("plan a --add b --to x.json", "leave out --add"),
        ("plan a b --add c --size a=1", "the size of 'b' is missing"),
        ("plan a --size a=-1", "the size '-1'"),
        ("plot a --add b --output x.gif", "*.svg or *.png"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    arguments: str, words: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments.split(), stdin=b"k")
    assert (code, out) == (2, "")
    assert words in err
    assert err.startswith("ringfence: ")
    assert err.count("\n") == 1


def test_without_pyyaml(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.yaml").write_text(YAML)
    monkeypatch.setitem(sys.modules, "yaml", None)
    code, _, err = run("load", "--nodes", str(tmp_path / "x.yaml"))
    assert code == 2
    assert "pip install 'ringfence[cli]'" in err


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("5", 5), ("5b", 5), ("1.5 kB", 1500), ("2MiB", 2 << 20), ("1E", 10**18)]
)
def test_sizes(text: str, count: int) -> None:
    assert nodes.size(text) == count


@pytest.mark.parametrize("command", ["", "lookup", "load", "plan", "plot"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["ring", *command.split(), "--help"])
    assert end.value.code == 0
    assert f"examples:\n  ringfence ring {command or 'lookup'} " in capsys.readouterr().out


def test_batches_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CHUNK", 10)
    (tmp_path / "keys").write_text("\n".join(KEYS))
    with keys.batches(str(tmp_path / "keys")) as found:
        batches = list(found)
    assert [key.decode() for batch in batches for key in batch] == KEYS
    assert max(map(len, batches)) <= 5


def test_a_key_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LONGEST", 100)
    (tmp_path / "keys").write_text("x" * 101)
    with (
        pytest.raises(InvalidValue, match="longer than 100 bytes"),
        keys.batches(str(tmp_path / "keys")) as found,
    ):
        list(found)


def process(*arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "ringfence", "ring", *arguments], **streams)


def test_a_pipe_is_answered_as_it_flows() -> None:
    with process("lookup", "a", "b", "c", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin
        assert running.stdout
        for key in KEYS[:3]:
            running.stdin.write(f"{key}\n".encode())
            running.stdin.flush()
            assert running.stdout.readline().decode() == f"{key}\t{RING[key]}\n"


def test_a_reader_who_has_enough(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"user\n" * 400_000)
    arguments = ("lookup", "a", "--keys", str(tmp_path / "keys"))
    with process(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode == 141


def test_a_terminal_is_shown_a_bar(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("\n".join(KEYS))
    terminal, end = pty.openpty()
    keys, able = str(tmp_path / "keys"), {**os.environ, "TERM": "xterm"}  # one that can redraw a line
    with process("load", "a", "b", "--keys", keys, stdout=subprocess.DEVNULL, stderr=end, env=able):
        os.close(end)
        shown = b""
        try:
            while chunk := os.read(terminal, 4096):
                shown += chunk
        except OSError:  # how Linux says that nobody is at the other end any more
            pass
    os.close(terminal)
    assert b"keys" in shown
    assert b"\x1b[" in shown


def test_no_bar_without_a_terminal_or_without_rich(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress.bar("keys", 3, shown=True) as advance:
        advance(3)
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: True))
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with progress.bar("keys", 3, shown=True) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


def session(page: str) -> list[tuple[str, str]]:
    """Return the commands of the console examples of a page, and what they are said to print."""
    [block] = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    commands = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (text.partition("\n") for text in commands)]


def test_the_documented_commands_print_what_is_written_there(tmp_path: Path) -> None:
    script = tmp_path / "ringfence"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ringfence "$@"\n')
    script.chmod(0o755)
    root = Path(__file__).parents[2]
    paths = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(root / "src")}
    for command, output in session((root / "docs" / "planning.md").read_text(encoding="utf-8")):
        done = subprocess.run(
            f"({command}) 2>&1",
            shell=True,
            cwd=tmp_path,
            env={**os.environ, **paths},
            stdout=subprocess.PIPE,
            check=False,
        )
        assert done.stdout.decode() == output, command
