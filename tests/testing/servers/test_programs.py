"""Where servers come from, in which order, and what is said when they cannot be had."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from ringfence.errors import BackendUnavailable
from ringfence.testing.servers import KINDS, ExternalServer, __main__, account, obtain, packages, programs
from ringfence.testing.servers.programs import Needed, Programs

SOURCES = Path(packages.__file__).parents[3]
NEEDED = Needed("thing", ("thing-server",), (("thingd", "old-thingd"),))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(packages.CACHE_VARIABLE, str(tmp_path / "cache"))
    return packages.cache_folder()


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an apt on PATH whose packages hold a `thingd`; what it was asked is in its log."""
    folder = tmp_path / "apt"
    script(folder / "apt-get", 'echo "$@" >>"$LOG"; exec python3 - "$2" "$@" <<"E"\n' + APT + "E")
    script(
        folder / "dpkg-deb",
        'mkdir -p "$3/usr/sbin"; cp "$2" "$3/usr/sbin/thingd"; chmod +x "$3/usr/sbin/thingd"',
    )
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(folder / "log"))
    return folder


APT = """
import pathlib, re, sys
archives = pathlib.Path(re.search('archives "(.*)"', pathlib.Path(sys.argv[1]).read_text())[1])
if "install" in sys.argv:
    (archives / "thing.deb").write_text("#!/bin/sh")
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RINGFENCE_REDIS_CLUSTER_URL", "redis+cluster://db.example:7000,db.example:7001")
    server = obtain("redis-cluster")
    assert isinstance(server, ExternalServer)
    assert server.url == "redis+cluster://db.example:7000,db.example:7001"
    assert server.start() is server
    server.close()
    for refused in (server.kill, server.pause, server.stop, server.resume, server.restart):
        with pytest.raises(
            BackendUnavailable, match=r"unset RINGFENCE_REDIS_CLUSTER_URL to have a private one"
        ):
            refused()


def test_path_comes_before_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apt: Path) -> None:
    there = script(tmp_path / "bin" / "old-thingd", "")
    monkeypatch.setenv("PATH", f"{there.parent}{os.pathsep}{os.environ['PATH']}")
    found = programs.find(NEEDED)
    assert found.program("thingd", "old-thingd") == there
    assert found.environment() == {}
    assert not (apt / "log").exists()


def test_packages_come_last_and_once(apt: Path, cache: Path) -> None:
    for _ in range(2):
        assert programs.find(NEEDED).program("thingd") == cache / "thing" / "usr" / "sbin" / "thingd"
    update, install = (apt / "log").read_text().splitlines()
    assert update.endswith("update")
    assert install.endswith("--download-only install thing-server")


def test_of_several_versions_the_newest(tmp_path: Path) -> None:
    for version in ("9", "15", "14"):
        script(tmp_path / "usr" / "lib" / "postgresql" / version / "bin" / "elephantd", "")
    assert Programs(tmp_path).program("elephantd").parts[-3] == "15"


def test_many_at_once_download_once(apt: Path) -> None:
    threads = [threading.Thread(target=programs.find, args=(NEEDED,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (apt / "log").read_text().count("install") == 1


def test_a_half_made_cache_is_not_used(apt: Path, cache: Path) -> None:
    half = cache / "thing.partial" / "usr" / "sbin" / "thingd"
    script(half, "exit 1")
    unpacker = (apt / "dpkg-deb").read_text()
    script(apt / "dpkg-deb", "echo broken archive >&2; exit 2")
    with pytest.raises(BackendUnavailable, match="broken archive"):
        programs.find(NEEDED)
    assert not (cache / "thing").exists()
    (apt / "dpkg-deb").write_text(unpacker)
    assert programs.find(NEEDED).program("thingd").read_text() == "#!/bin/sh"


def test_what_cannot_be_had_says_what_to_do(apt: Path) -> None:
    script(apt / "apt-get", "echo 'E: Temporary failure resolving' >&2; exit 100")
    with pytest.raises(BackendUnavailable) as caught:
        programs.find(NEEDED)
    message = str(caught.value)
    assert "no thing server: thingd or old-thingd is not there" in message
    assert "apt-get failed:\nE: Temporary failure resolving" in message
    assert "apt install thing-server" in message


def test_packages_without_the_program(apt: Path) -> None:
    with pytest.raises(
        BackendUnavailable, match="otherd is not there, and its packages cannot be had: otherd"
    ):
        programs.find(Needed("thing", ("thing-server",), (("otherd",),)))


def test_a_system_without_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackendUnavailable, match="this system has no apt-get"):
        programs.find(NEEDED)


def test_a_cache_that_cannot_be_written(apt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(packages.CACHE_VARIABLE, str(tmp_path / "file"))
    with pytest.raises(BackendUnavailable, match=r"cannot be used: .* set RINGFENCE_SERVER_CACHE"):
        programs.find(NEEDED)


def test_links_stay_inside(tmp_path: Path) -> None:
    (tmp_path / "etc" / "java").mkdir(parents=True)
    (tmp_path / "etc" / "java" / "security").write_text("ours")
    link, outside = tmp_path / "usr" / "conf", tmp_path / "usr" / "other"
    link.parent.mkdir()
    link.symlink_to("/etc/java")
    outside.symlink_to("/etc/hostname")
    packages.relink(tmp_path)
    assert (link / "security").read_text() == "ours"
    assert os.readlink(outside) == "/etc/hostname"


def test_the_command_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(name: str) -> None:
        return None

    monkeypatch.setattr(programs, "on_system", nothing)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert __main__.main(["fetch", "etcd"]) == 1
    error = capsys.readouterr().err
    assert "error: no etcd server: etcd is not there" in error
    assert "apt install etcd-server" in error


def test_the_command_knows_its_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        __main__.main(["fetch", "oracle"])
    assert "no server oracle; known: redis" in capsys.readouterr().err


FETCH = """
import sys
from ringfence.testing.servers import packages
print(packages.unpacked(sys.argv[1], sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.servers
@pytest.mark.parametrize("kind", ["redis", "zookeeper", "etcd", "mariadb"])
def test_a_real_download(kind: str) -> None:
    """Not as root, into a clean folder, though the system may have it."""
    cache = Path(tempfile.gettempdir(), f"ringfence-cache-{os.getpid()}-{kind}")
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", packages.CACHE_VARIABLE: str(cache)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SOURCES), *sys.path]))
    command = [*account.command_prefix(), sys.executable, "-c", FETCH, kind, KINDS[kind].needed.packages[0]]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=280, check=False
        )
        assert done.returncode == 0, done.stderr
        assert Path(done.stdout.strip()).is_relative_to(cache)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
