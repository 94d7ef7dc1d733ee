"""Which kinds of store carry which recipe: the values of the fixture `url`."""

import pytest

SHARING = ["memory", "sqlite"]
"""Those of which several may hold a lock at once."""

ALONE = [pytest.param("redis", marks=pytest.mark.servers)]
"""The others."""
