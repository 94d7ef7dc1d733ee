import pytest

from ringfence import _url
from ringfence.errors import InvalidType, InvalidValue


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///rel.db", "rel.db"),
        ("sqlite:///a/b.db", "a/b.db"),
        ("sqlite:////tmp/abs.db", "/tmp/abs.db"),
        ("sqlite:///sp ace.db", "sp ace.db"),
    ],
)
def test_sqlite_urls(url: str, path: str) -> None:
    assert _url.sqlite_path(url) == path


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite://host/x.db"])
def test_a_sqlite_url_must_name_a_file(url: str) -> None:
    with pytest.raises(InvalidValue, match="names no file"):
        _url.sqlite_path(url)


def test_options_are_refused() -> None:
    with pytest.raises(InvalidValue, match="carries options"):
        _url.sqlite_path("sqlite:///a.db?mode=ro")


@pytest.mark.parametrize("url", ["a.db", "redis://host", "", "sqlite:/a.db"])
def test_unknown_urls_name_the_known_ones(url: str) -> None:
    with pytest.raises(InvalidValue, match=r"memory://, sqlite://"):
        _url.split(url)


def test_a_url_is_a_string() -> None:
    with pytest.raises(InvalidType, match="not 7"):
        _url.split(7)  # type: ignore[arg-type]


def test_memory_urls_have_a_name() -> None:
    assert _url.split("memory://") == ("memory", "")
    assert _url.split("memory://x") == ("memory", "x")
