"""Partition frames by a placement: one module for each library of frames, named after it.

Each has a `partition(frame, placement, on="column")`. Importing them loads no library; `pip install
'ringfence[pandas]'`, `[polars]` or `[dask]` installs what they need.
"""

from ringfence.placement.frames import dask, pandas, polars

__all__ = ["dask", "pandas", "polars"]
