"""Data sets of labelled images."""

import json
from pathlib import Path

import pytest

from shared.errors import UsageError
from workers.labels.manifest import LABEL_LIMIT, MAX_LINE, presence_of, read_manifest, vocabulary


def write(folder: Path, *lines: object) -> Path:
    file = folder / "set.jsonl"
    file.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return file


def test_paths_are_beside_the_manifest(tmp_path: Path) -> None:
    first, second = read_manifest(
        write(tmp_path, {"image": "a/1.png", "labels": ["x", "y", "x"]}, {"image": "/b.png", "labels": []})
    )
    assert (first.image, first.labels) == (tmp_path / "a/1.png", frozenset({"x", "y"}))
    assert (second.image, second.labels) == (Path("/b.png"), frozenset())


@pytest.mark.parametrize(
    "line",
    [
        "nonsense\n",
        "[]\n",
        '{"image": "a"}\n',
        '{"image": 1, "labels": []}\n',
        '{"image": "a", "labels": "x"}\n',
        '{"image": "a", "labels": [1]}\n',
        '{"image": "a", "labels": [""]}\n',
        json.dumps({"image": "a", "labels": ["x" * (LABEL_LIMIT + 1)]}) + "\n",
        "[" * 100_000 + "\n",
        '{"image": "' + "a" * MAX_LINE + '", "labels": []}\n',
    ],
)
def test_the_line_that_is_wrong_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError, match=r"set\.jsonl:2: not"):
        read_manifest(write(tmp_path, {"image": "a", "labels": []}, line))


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lists no image"):
        read_manifest(write(tmp_path))
    with pytest.raises(UsageError, match="cannot read"):
        read_manifest(tmp_path / "none.jsonl")
    (tmp_path / "set.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read"):
        read_manifest(tmp_path / "set.jsonl")


def test_rare_labels_do_not_count() -> None:
    labelled = [frozenset("ab"), frozenset("ab"), frozenset("bc"), frozenset()]
    assert vocabulary(labelled, 2) == ("b", "a")
    assert presence_of(labelled, ("b", "a")).tolist() == [[True, True], [True, True], [True, False], [False, False]]
    with pytest.raises(UsageError, match="needs two"):
        vocabulary(labelled, 3)
