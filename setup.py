"""The extension list; everything else stands in pyproject.toml.

Without a compiler the build goes on and installs the pure twin. `RINGFENCE_REQUIRE_COMPILED=1` refuses to.
"""

import os
from runpy import run_path

from Cython.Build import cythonize
from setuptools import Extension, setup

COMPILED = run_path("src/ringfence/_core/_twins.py")["MODULES"]

extensions = cythonize(
    [
        Extension(f"ringfence._core.{name}", [f"src/ringfence/_core/{name}.py"], extra_compile_args=["-O3"])
        for name in COMPILED
    ],
    compiler_directives={"language_level": "3", "freethreading_compatible": True},
)
for extension in extensions:  # set here because cythonize() drops it
    extension.optional = os.environ.get("RINGFENCE_REQUIRE_COMPILED") != "1"

setup(ext_modules=extensions)
