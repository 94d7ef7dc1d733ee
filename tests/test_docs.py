"""Every example of the README and the documentation runs, and says what it is said to say."""

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


def examples(page: str) -> str:
    """Return the interactive examples of a page, every other line blank, so that line numbers stay right."""
    kept = [""] * (page.count("\n") + 1)
    for block in BLOCK.finditer(page):
        if block["language"] == "pycon":
            start = page.count("\n", 0, block.start("code"))
            lines = block["code"].splitlines()
            kept[start : start + len(lines)] = lines
    return "\n".join(kept) + "\n"


def failures(page: str, name: str = "page") -> int:
    """Run the programs of a page, then its examples, in one namespace; return how many examples went wrong."""
    namespace: dict[str, object] = {}
    for block in BLOCK.finditer(page):
        if block["language"] == "python":
            exec(compile(block["code"], name, "exec"), namespace)
    test = doctest.DocTestParser().get_doctest(examples(page), namespace, name, name, 0)
    return doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test).failed


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_examples(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert failures(path.read_text(encoding="utf-8"), path.name) == 0


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_example_goes_unchecked(path: Path) -> None:
    languages = {block["language"] for block in BLOCK.finditer(path.read_text(encoding="utf-8"))}
    assert languages <= {"pycon", "python", "console", "sh", "sql", "text"}


def test_a_wrong_example_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    assert failures("# A page\n\n```pycon\n>>> 1 + 1\n3\n```\n") == 1
    assert "line 4" in capsys.readouterr().out


def test_links_between_pages_lead_somewhere() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\(([\w./-]+\.md)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"
