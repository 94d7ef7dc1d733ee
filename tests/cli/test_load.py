"""How files are grouped into transactions."""

from ringfence.cli.demo import load
from ringfence.cli.demo.place import File


def sizes(*contents: int) -> list[list[int]]:
    files = [(File(str(number), size, ""), bytes(size)) for number, size in enumerate(contents)]
    return [[file.size for file, _ in batch] for batch in load.batches(files)]


def test_a_batch_ends_at_its_bytes_or_files() -> None:
    most = load.BYTES
    assert sizes(most - 1, 1, 1, most + 5, 0) == [[most - 1, 1], [1], [most + 5], [0]]
    assert [len(batch) for batch in sizes(*[0] * (load.FILES + 1))] == [load.FILES, 1]
    assert sizes() == []
