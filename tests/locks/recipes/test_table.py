"""The documented table of what each store carries is what the managers do."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ringfence import InvalidValue, LockManager
from ringfence.locks import opening
from ringfence.locks.recipes.outliving import check_outliving
from ringfence.locks.recipes.sharing import CARRIERS
from tests.locks.recipes.carriers import Alone

PAGE = (Path(__file__).parents[3] / "docs" / "recipes.md").read_text(encoding="utf-8")
RECIPES: dict[str, Callable[[LockManager], object]] = {
    "lock": lambda manager: manager.lock("x"),
    "rlock": lambda manager: manager.rlock("x"),
    "rwlock": lambda manager: manager.rwlock("x"),
    "semaphore": lambda manager: manager.semaphore("x", 3),
    "multi": lambda manager: manager.multi(["x", "y"]),
    "election": lambda manager: manager.election("x"),
    "barrier": lambda manager: manager.barrier("x", 3),
    "once": lambda manager: manager.once("x", within=60),
    "to_token": lambda manager: check_outliving(manager._session.store, "handing over"),
}


def table() -> Iterator[tuple[str, dict[str, str]]]:
    """What the page says of each URL: yes or no, by recipe."""
    lines = PAGE[PAGE.index("| store |") :].partition("\n\n")[0].splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for first, *cells in rows:
        for url in re.findall(r"`([^`]+)`", first):
            yield url, dict(zip([name.strip("`") for name in head[1:]], cells, strict=True))


TABLE = list(table())


@pytest.mark.parametrize(("url", "cells"), TABLE, ids=[url for url, _ in TABLE])
def test_the_table_says_what_a_store_carries(
    url: str, cells: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cells.keys() == RECIPES.keys()
    with LockManager.from_url(url) as manager:
        for name, recipe in RECIPES.items():
            assert carries(manager, recipe) == (cells[name] == "yes"), name


def carries(manager: LockManager, recipe: Callable[[LockManager], object]) -> bool:
    try:
        recipe(manager)
    except InvalidValue:
        return False
    return True


def test_the_table_has_every_kind_of_url() -> None:
    assert {url.split(":")[0] for url, _ in TABLE} == set(opening._KNOWN)


def test_a_refusal_names_the_stores_that_can() -> None:
    sharing = {re.split("[+:]", url)[0] for url, cells in TABLE if cells["rwlock"] == "yes"}
    others = {"rediss", "unix", "etcds", "postgres", "mysql"}  # other spellings
    assert sharing - others == set(CARRIERS)
    with LockManager(Alone()) as manager, pytest.raises(InvalidValue, match=", ".join(CARRIERS)):
        manager.rwlock("x")
