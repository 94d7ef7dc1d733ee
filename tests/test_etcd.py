"""The client of etcd's JSON gateway: what it reads and writes, and what it does when a member is not there."""

from contextlib import closing
from typing import Any

import pytest

from ringfence._etcd import (
    Etcd,
    KeyValue,
    NotFound,
    Request,
    failure,
    get_op,
    is_absent,
    is_at,
    is_change,
    list_op,
    prefix_end,
    put_op,
    txn_answer,
    watch,
)
from ringfence.errors import BackendUnavailable, OutcomeUnknown, StoreError


def test_integers_are_strings_and_keys_base64() -> None:
    assert put_op("a", "b", 2**60) == {
        "requestPut": {"key": "YQ==", "value": "Yg==", "lease": "1152921504606846976"}
    }
    assert is_at("a", 7)["mod_revision"] == "7"
    assert watch("a/", 7).body["create_request"]["start_revision"] == "7"


def test_the_range_of_a_prefix_ends_behind_it() -> None:
    assert prefix_end("a/") == b"a0"


def test_fields_that_are_left_out_are_zero_or_false() -> None:
    answer = {"header": {"revision": "9"}, "responses": [{"response_range": {"kvs": [{"key": "YQ=="}]}}, {}]}
    assert txn_answer(answer) == (False, 9, [[KeyValue(b"a", b"", 0, 0, 0, 0)], []])


@pytest.mark.parametrize(
    ("answer", "change"),
    [
        ({"result": {"created": True}}, False),
        ({"result": {"events": [{}]}}, True),
        ({"result": {"canceled": True, "compact_revision": "9"}}, True),
        ({"error": {"grpc_code": 14}}, True),
        ({}, False),
    ],
)
def test_what_a_watch_tells(answer: dict[str, Any], change: bool) -> None:
    assert is_change(answer) is change


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"error": "etcdserver: requested lease not found", "code": 5}, NotFound),
        ({"error": {"grpc_code": 14, "message": "transport is closing"}}, OutcomeUnknown),
        ({"error": "etcdserver: request timed out", "code": 14}, OutcomeUnknown),
        ({"error": "etcdserver: mvcc: database space exceeded", "code": 8}, StoreError),
        ({"error": "?"}, OutcomeUnknown),
    ],
)
def test_errors(answer: dict[str, Any], kind: type[Exception]) -> None:
    assert type(failure("here", answer)) is kind


@pytest.fixture
def client(etcd_server: Any) -> Any:
    with closing(Etcd([etcd_server.url.replace("etcd", "http")])) as client:
        yield client


def test_a_lease_ends_its_keys(client: Etcd) -> None:
    lease = client.grant(60)
    answer = client.txn([is_absent("lease/a")], [put_op("lease/a", "x", lease)])
    assert answer.succeeded
    assert client.keep_alive(lease)
    assert not client.txn([is_absent("lease/a")], []).succeeded
    [[found]] = client.txn([is_at("lease/a", answer.revision)], [get_op("lease/a")]).found
    assert found == (b"lease/a", b"x", answer.revision, answer.revision, 1, lease)
    client.revoke(lease)
    assert client.txn([], [list_op("lease/")]).found == [[]]


def test_a_lease_that_is_not_there_is_lost_and_not_an_answer(client: Etcd) -> None:
    assert not client.keep_alive(123456789)
    with pytest.raises(NotFound):
        client.revoke(123456789)
    with pytest.raises(NotFound):
        client.txn([], [put_op("x", "y", 123456789)])


def test_a_watch_of_what_was_compacted_ends_at_once(client: Etcd) -> None:
    first = client.txn([], [put_op("compacted/a", "1")]).revision
    for number in range(3):
        last = client.txn([], [put_op("compacted/a", str(number))]).revision
    client.call(Request("kv/compaction", {"revision": str(last), "physical": True}))
    client.watch(watch("compacted/", first)).wait(200)


def test_the_next_member_is_asked_when_one_is_not_there(etcd_server: Any) -> None:
    alive = etcd_server.url.replace("etcd", "http")
    with closing(Etcd(["http://127.0.0.1:1", alive])) as client:
        for _ in range(3):
            assert client.grant(60) > 0


def test_nobody_there() -> None:
    with (
        closing(Etcd(["http://127.0.0.1:1"])) as client,
        pytest.raises(BackendUnavailable, match=r"127\.0\.0\.1:1"),
    ):
        client.grant(60)


def test_something_else_there(zookeeper_server: Any) -> None:
    place = zookeeper_server.url.replace("zookeeper", "http")
    with closing(Etcd([place])) as client, pytest.raises(StoreError):
        client.grant(60)
