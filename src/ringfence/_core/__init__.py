"""The compiled hot paths: hashing, ring search, leases and those who wait for them; pure functions and small values."""

from ringfence._core import _twins

IMPLEMENTATION = _twins.choose()
"""`"c"` when the compiled modules are in use, else `"python"`."""

for _name in _twins.MODULES:
    globals()[_name] = _twins.load(_name, IMPLEMENTATION)
