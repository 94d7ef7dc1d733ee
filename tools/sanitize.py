"""Run the tests of the compiled core under AddressSanitizer and UBSan: `sanitize.py [PYTEST ARGUMENT...]`.

Builds the extension modules with `-fsanitize=address,undefined` from a copy of the sources in `.cache/sanitized`, so
that the ordinary ones stay as they are. First it lets the core read past the end of a buffer, by the one lie that
Arrow data can tell, and stops if that goes unseen; then the tests run, with every Python object in memory of its own.
The first error ends the run with its report. Needs gcc with its sanitizer libraries, on Linux.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPY = ROOT / ".cache" / "sanitized"
FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
TESTS = [
    "tests/core",
    "tests/placement",
    "tests/compat",
    "-m",
    "not slow",
    "-k",
    "not membership and not servers",
]
LIE = """
import numpy
from ringfence import HashRing
from tests.core.conftest import Handmade, offsets
assert HashRing(["a"]).lookup_many(["x"]).tolist() == [0]
HashRing(["a"]).lookup_many(Handmade(b"z", 1, [None, offsets(0, 1 << 16), numpy.zeros(2048, numpy.uint8)]))
"""


def main(arguments: list[str]) -> int:
    """Build, see that errors are seen, and test; return the exit status."""
    build()
    environment = sanitized()
    program = [sys.executable, "-c", LIE]
    lie = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if "heap-buffer-overflow" not in lie.stderr:
        print(
            lie.stderr,
            "a read past the end of a buffer went unseen: nothing would be proved",
            file=sys.stderr,
        )
        return 1
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--capture=sys",
        "-p",
        "no:cacheprovider",
        *(arguments or TESTS),
    ]
    return subprocess.run(tests, cwd=ROOT, env=environment, check=False).returncode


def build() -> None:
    """Compile a copy of the sources with the sanitizers; what is newer than its source stays."""
    COPY.mkdir(parents=True, exist_ok=True)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, COPY)
    compiled = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    shutil.copytree(ROOT / "src", COPY / "src", ignore=compiled, dirs_exist_ok=True)
    flags = {"CFLAGS": FLAGS, "LDFLAGS": "-fsanitize=address,undefined", "RINGFENCE_REQUIRE_COMPILED": "1"}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(command, cwd=COPY, env=os.environ | flags, check=True)


def sanitized() -> dict[str, str]:
    """Return the environment in which the interpreter loads the sanitizers and the copy."""
    # The interpreter leaks by itself, and NumPy raises MemoryError for what cannot be had.
    options = "detect_leaks=0:allocator_may_return_null=1"
    return os.environ | {
        "LD_PRELOAD": f"{library('libasan')} {library('libubsan')}",
        "ASAN_OPTIONS": options,
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(COPY / "src"),
        "RINGFENCE_IMPL": "c",
    }


def library(name: str) -> str:
    """Return the path of a library of the compiler."""
    command = ["gcc", f"-print-file-name={name}.so"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
