"""A file that is watched: replaced, written in place, half-written, gone."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ringfence.errors import BackendUnavailable, InvalidValue
from ringfence.placement import HashRing, Node
from ringfence.placement.membership import FileSource, Membership


def failure(of: Any) -> Exception | None:
    """Return `of.error` as it is now; a property is not what it was a moment ago."""
    error: Exception | None = of.error
    return error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "nodes.json"
    path.write_text('["a", "b"]')
    return path


def opened(path: Path, **options: float) -> Membership:
    return Membership.from_url(f"file://{path}", debounce=0.0, watch=False, **options)  # type: ignore[arg-type]


def replace(path: Path, nodes: object) -> None:
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(nodes))
    beside.rename(path)


def rewrite(path: Path, nodes: object) -> None:
    path.write_text(json.dumps(nodes))


@pytest.mark.parametrize("write", [replace, rewrite])
def test_a_change_of_the_file_changes_the_ring(path: Path, write: Callable[[Path, object], None]) -> None:
    with opened(path) as membership:
        assert membership.ring == HashRing(["a", "b"])
        write(path, [{"name": "a", "weight": 2, "zone": "east"}, "c"])
        membership.refresh()
        assert membership.ring == HashRing([Node("a", 2.0, "east"), "c"])


def test_same_size_and_times_hide_no_change(path: Path) -> None:
    with opened(path) as membership:
        before = path.stat()
        rewrite(path, ["a", "x"])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        membership.refresh()
        assert membership.ring.nodes == ("a", "x")


def test_yaml(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text("- a\n- {name: b, weight: 2, zone: east, size: 4GB}\n")
    with opened(path) as membership:
        assert membership.ring == HashRing([Node("a"), Node("b", 2.0, "east")])


@pytest.mark.parametrize(
    "content", ['["a", "b", "c', "", '[{"weight": 2}]', '["a", "a"]', "\udcff", '{"a": "heavy"}', "7"]
)
def test_a_malformed_file_leaves_the_ring_as_it_was(path: Path, content: str) -> None:
    with opened(path) as membership:
        ring = membership.ring
        path.write_bytes(content.encode(errors="surrogateescape"))
        membership.refresh()
        assert membership.ring is ring
        assert isinstance(membership.error, InvalidValue | TypeError)
        assert "nodes.json" in str(membership.error)
        rewrite(path, ["a", "b", "c"])
        membership.refresh()
        assert failure(membership) is None
        assert membership.ring.nodes == ("a", "b", "c")


def test_a_file_that_is_gone_leaves_the_ring_as_it_was(path: Path) -> None:
    with opened(path) as membership:
        path.unlink()
        membership.refresh()
        assert isinstance(membership.error, BackendUnavailable)
        assert "No such file" in str(membership.error)
        assert membership.ring.nodes == ("a", "b")


def test_a_list_cut_short_does_not_stand_for_long_enough(tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text("- a\n- b\n- c\n")
    now = 0.0
    with Membership(FileSource(path), watch=False, clock=lambda: now) as membership:
        path.write_text("- a\n- b\n")  # is what a reader sees of a file that is being written
        membership.refresh()
        now = 1.0
        path.write_text("- a\n- b\n- c\n")
        membership.refresh()
        now = 60.0
        membership.refresh()
        assert membership.ring.nodes == ("a", "b", "c")
        assert membership.error is None


def test_the_path_stays_the_same_when_the_folder_changes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    with Membership(FileSource("nodes.json"), debounce=0, watch=False) as membership:
        monkeypatch.chdir("/")
        rewrite(path, ["z"])
        membership.refresh()
        assert membership.ring.nodes == ("z",)


def test_the_file_is_watched(path: Path) -> None:
    with Membership.from_url(f"file://{path}", debounce=0, poll=0.02) as membership:
        changes = membership.changes()
        replace(path, ["a", "b", "c"])
        change = changes.next(timeout=60)
        assert change is not None
        assert change.new.nodes == ("a", "b", "c")


def test_a_start_without_the_file(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="cannot be read"):
        Membership.from_url(f"file://{tmp_path}/none.json")
    known = HashRing(["a", "b"], epoch=7)
    with Membership.from_url(f"file://{tmp_path}/none.json", known, debounce=0, watch=False) as membership:
        assert membership.ring is known
        assert isinstance(membership.error, BackendUnavailable)
        rewrite(tmp_path / "none.json", ["a"])
        membership.refresh()
        assert (membership.ring.nodes, membership.epoch) == (("a",), 8)


@pytest.mark.parametrize(
    "url", ["file://nodes.json", "file://", "file:///nodes.txt", "ftp://x", "nodes.json"]
)
def test_a_wrong_url(url: str) -> None:
    with pytest.raises(InvalidValue, match=r"nodes|no store is known"):
        Membership.from_url(url).close()


@pytest.mark.slow
def test_a_large_file_is_parsed_only_when_it_changed(path: Path) -> None:
    rewrite(path, [f"node-{number}" for number in range(20_000)])
    source = FileSource(path)
    started = time.perf_counter()
    source.read()
    parsed = time.perf_counter()
    source.read()
    assert time.perf_counter() - parsed < (parsed - started) / 3
