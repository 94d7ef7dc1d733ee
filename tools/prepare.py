"""Prepare a virtual environment for one target of the Makefile: `prepare.py FOLDER GROUP...`.

Makes the environment where there is none, installs this project into it (editable, extra `cli`) with the named
dependency groups of pyproject.toml, and builds the compiled core again when one of its sources is newer. What is
in place already is left alone, so a second run needs no network. Needs nothing but the standard library.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "pyproject.toml"
CORE = ROOT / "src" / "ringfence" / "_core"
PRIVATE = ROOT / ".cache" / "virtualenv"
REQUIRED = os.environ.get("RINGFENCE_REQUIRE_COMPILED") == "1"


def main() -> None:
    """Bring the environment up to date."""
    environment, groups = Path(sys.argv[1]).absolute(), sys.argv[2:]
    python = make_environment(environment)
    if Path(sys.prefix) != environment:  # from here on it is the environment's own pip, version and headers
        os.execv(python, [str(python), __file__, *sys.argv[1:]])
    install_groups(environment, groups)
    install_package(environment)


def make_environment(environment: Path) -> Path:
    """Return the environment's interpreter, after making the environment where it is missing or half made."""
    python = environment / "bin" / "python"
    if (environment / "bin" / "pip").exists():
        check_version(environment, python)
        return python
    say(f"making {environment.name} with Python {sysconfig.get_python_version()}")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", environment], capture_output=True, check=False
    )
    if made.returncode:  # Debian has venv and ensurepip in a package of their own
        run(sys.executable, "-m", "virtualenv", "--quiet", "--clear", environment, PYTHONPATH=virtualenv())
    return python


def check_version(environment: Path, python: Path) -> None:
    """Leave with a clear message when the environment was made by another version of Python than asked for."""
    version = "import sysconfig; print(sysconfig.get_python_version())"
    there = subprocess.run([python, "-c", version], capture_output=True, text=True, check=True).stdout.strip()
    if there != sysconfig.get_python_version():
        sys.exit(
            f"{environment.name} holds Python {there}, not {sysconfig.get_python_version()}: "
            f"run `make clean` first, or name another environment with VENV=…"
        )


def virtualenv() -> str:
    """Return a search path that has virtualenv, installed into a private folder where it must be."""
    if not importlib.util.find_spec("virtualenv") and not PRIVATE.exists():
        if not importlib.util.find_spec("pip"):
            sys.exit(
                f"{sys.executable} has neither venv nor pip: install one (Debian: apt install python3-venv)"
            )
        pip(sys.executable, "--target", PRIVATE, "virtualenv")
    return os.pathsep.join(filter(None, [str(PRIVATE), os.environ.get("PYTHONPATH")]))


def install_groups(environment: Path, groups: Iterable[str]) -> None:
    """Install the dependency groups that are missing or were written down anew since."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    wanted = {"build": project["build-system"]["requires"]}
    wanted |= {group: project["dependency-groups"][group] for group in groups}
    for group, requirements in wanted.items():
        stamp = environment / f"ringfence-group-{group}"
        if is_older(stamp, [PROJECT]):
            say(f"installing the dependency group {group}")
            pip(sys.executable, *requirements)
            stamp.touch()


def install_package(environment: Path) -> None:
    """Install the project, compiled where that can be, when a source of the compiled core is newer."""
    stamp, pure = environment / "ringfence-built", environment / "ringfence-pure"
    obstacle = no_compiler()
    if REQUIRED and obstacle:
        sys.exit(f"RINGFENCE_REQUIRE_COMPILED=1, but {obstacle}")
    if pure.exists() != bool(obstacle):
        stamp.unlink(missing_ok=True)
    if not is_older(stamp, [PROJECT, ROOT / "setup.py", *CORE.glob("*.py"), *CORE.glob("*.pxd")]):
        return
    say(f"installing ringfence as pure Python: {obstacle}" if obstacle else "compiling ringfence")
    for stale in CORE.glob("*" + sysconfig.get_config_var("EXT_SUFFIX")):
        stale.unlink()
    # Where there is a compiler, a build that fails must be seen: the fall-back is for machines without one.
    required = "0" if obstacle else "1"
    pip(sys.executable, "--no-build-isolation", "-e", f"{ROOT}[cli]", RINGFENCE_REQUIRE_COMPILED=required)
    pure.write_text(f"{obstacle}\n", encoding="utf-8") if obstacle else pure.unlink(missing_ok=True)
    stamp.touch()


def no_compiler() -> str | None:
    """Return what is missing to compile an extension module, or `None` when nothing is."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if not shutil.which(command):
        return f"there is no C compiler ({command})"
    header = Path(sysconfig.get_path("include"), "Python.h")
    return None if header.exists() else f"the Python headers are missing ({header})"


def is_older(stamp: Path, sources: Iterable[Path]) -> bool:
    """Return whether a stamp is missing or older than one of its sources."""
    return not stamp.exists() or any(source.stat().st_mtime > stamp.stat().st_mtime for source in sources)


def pip(python: str, *arguments: object, **environment: str) -> None:
    """Run `pip install` without its chatter."""
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-warn-script-location")
    run(python, "-m", "pip", "install", *quiet, *arguments, **environment)


def run(*command: object, **environment: str) -> None:
    """Run a command, and leave with its exit code when it fails."""
    done = subprocess.run([str(part) for part in command], env={**os.environ, **environment}, check=False)
    if done.returncode:
        sys.exit(f"failed ({done.returncode}): {' '.join(str(part) for part in command)}")


def say(text: str) -> None:
    """Tell what takes time."""
    print(f"prepare: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
