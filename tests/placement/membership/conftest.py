"""A group to register with, of each kind."""

import uuid

import pytest
from _pytest.mark import ParameterSet

KINDS = ["memory", "redis", "zookeeper", "etcd"]


def without(*kinds: str) -> list[ParameterSet]:
    """Return the parameters of `url` for all kinds but these."""
    return [
        pytest.param(kind, marks=[] if kind == "memory" else pytest.mark.servers)
        for kind in KINDS
        if kind not in kinds
    ]


@pytest.fixture(params=without())
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a group that no other test uses."""
    group = f"group-{uuid.uuid4().hex}"
    if request.param == "memory":
        return f"memory://{group}"
    server = request.getfixturevalue(f"{request.param}_server").url
    return f"{server}?group={group}" if request.param == "redis" else f"{server}/{group}"
