import pytest

from ringfence.errors import InvalidType, InvalidValue
from ringfence.transactions.gid import Gid, check_name


def test_a_gid_is_its_text() -> None:
    assert str(Gid("main", 3, 14)) == "main.3.14"
    assert Gid.parse("a-B_9.1.2") == Gid("a-B_9", 1, 2)


BAD = ["", "main", "main.1", "main.0.1", "main.1.0", "main.01.1", "a b.1.1", "main.1.1\n", "x" * 41 + ".1.1"]


@pytest.mark.parametrize("bad", BAD)
def test_other_texts_are_refused(bad: str) -> None:
    with pytest.raises(InvalidValue, match="is not a gid"):
        Gid.parse(bad)


@pytest.mark.parametrize("bad", [None, 7, b"main.1.1"])
def test_other_types_are_refused(bad: object) -> None:
    with pytest.raises(InvalidType):
        Gid.parse(bad)  # type: ignore[arg-type]
    with pytest.raises(InvalidType):
        check_name(bad)  # type: ignore[arg-type]
