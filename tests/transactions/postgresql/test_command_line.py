"""`ringfence txn` over databases of PostgreSQL, one of which holds the decisions too."""

import json
from contextlib import closing

import pytest

from ringfence.cli import main
from ringfence.transactions import Outcome, decisions, participants
from tests.transactions.postgresql.databases import Database


def test_what_is_prepared_is_listed_and_recovered(
    east: Database, west: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--decisions", east.url, f"--participant=east={east.url}", f"--participant=west={west.url}"]
    with closing(decisions.from_url(east.url, 30.0)) as store:
        store.begin_epoch("main")
        for database in (east, west):
            with closing(participants.from_url(database.url, 30.0)) as participant:
                for seq in (1, 2):
                    participant.begin(f"main.1.{seq}").execute("INSERT INTO kept VALUES (%s)", (seq,))  # type: ignore[attr-defined]
                    participant.prepare(f"main.1.{seq}")
        store.put_if_absent("main.1.2", Outcome.COMMITTED)
        store.begin_epoch("main")
    assert main(["txn", "list", *given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["in_doubt"]
    assert [(each["gid"], each["decision"], each["prepared"]) for each in found] == [
        ("main.1.1", None, ["east", "west"]),
        ("main.1.2", "committed", ["east", "west"]),
    ]
    assert main(["txn", "resolve", "main.1.2", "west", "rollback", "--yes", *given]) == 1
    assert main(["txn", "recover", *given]) == 0
    assert "2 committed, 2 rolled back, 0 left" in capsys.readouterr().out
    assert main(["txn", "list", *given]) == 0
    assert capsys.readouterr().out == "nothing is in doubt\n"
