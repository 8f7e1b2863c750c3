"""The pictures that classifiers are measured on: a folder of folders, or classes and photographs in archives.

Of each class the files that no training of the encoder has seen are taken first.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from shared.core.policy_conditions import OTHER
from shared.errors import UsageError
from workers.evaluation.pictures import LEFT_OUT, MAX_FILES, has_archives, members
from workers.training.dataset import held_out

OTHERS: Final = 1000
"""Pictures that show none of the labels; one in 200 of them is 5."""
TESTED: Final = 60
"""Most pictures of a class that are asked for."""
LEAST_TESTED: Final = 10
A_SOURCE: Final = 2
"""Natural classes of a source: its largest ones."""
SAME_THING: Final = frozenset({"photos/pets/cats", "photos/pets/dog_breeds"})
"""Show what another class of their source shows, under another name."""
ORDER: Final = (
    "Images that a training of the encoder has seen, without their labels, teach; the unseen ones are asked for first."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A file of a class, or of `OTHER`; ``unseen``: no training of the encoder had it."""

    label: str
    unseen: bool
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Classes that are told apart, and pictures of none of them.

    ``background`` teaches `other` to what needs pictures of it and not vectors; none of ``others`` is among them.
    """

    name: str
    title: str
    text: str
    shown: tuple[Shown, ...]
    others: tuple[Shown, ...]
    background: tuple[Shown, ...] = ()


def blocks_of(data: Path, shots: Sequence[int], background: int = 0) -> tuple[Block, ...]:
    """Return what is measured with the files of ``data``; raises UsageError where that is nothing."""
    most, least = max(shots) + TESTED, min(shots) + LEAST_TESTED
    if has_archives(data):
        return _archived(data, most, least, background)
    return (_folders(data, most, least, background),)


def _folders(data: Path, most: int, least: int, background: int) -> Block:
    classes = {folder.name: _files(folder, folder.name) for folder in sorted(data.iterdir()) if folder.is_dir()}
    others = classes.pop(OTHER, [])
    shown = [one for files in classes.values() if len(files) >= least for one in files[:most]]
    if not shown or not others:
        raise UsageError(
            f"{data} needs a folder of {least} images or more for each class, and one named {OTHER} of images"
            " that show none"
        )
    title, text = "Your classes", "The images are a user's own: the encoder has seen none of them."
    kept = min(background, len(others) // 3)
    return Block(
        name="classes",
        title=title,
        text=text,
        shown=tuple(shown),
        others=tuple(others[kept : kept + OTHERS]),
        background=tuple(others[:kept]),
    )


def _files(folder: Path, label: str) -> list[Shown]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())[:MAX_FILES]
    random.Random(7).shuffle(files)
    return [Shown(label=label, unseen=True, read=path.read_bytes) for path in files]


def _archived(data: Path, most: int, least: int, background: int) -> tuple[Block, ...]:
    groups: dict[str, list[tuple[bool, str, Shown]]] = defaultdict(list)
    for source, group, payload in members(data, ("classes", "photos")):
        if source not in LEFT_OUT:
            unseen, digest = held_out(payload), hashlib.sha256(payload).hexdigest()
            one = Shown(label=group.split("/", 1)[1], unseen=unseen, read=partial(bytes, payload))
            groups[group].append((not unseen, digest, one))
    documents = [group for group, files in groups.items() if group.startswith("classes/") and len(files) >= least]
    natural = natural_classes({group: len(files) for group, files in groups.items()}, least)
    photographs = [group for group in groups if group.startswith("photos/")]
    elsewhere = not_of(natural, photographs)

    def taken(chosen: Iterable[str]) -> tuple[Shown, ...]:
        return tuple(one for group in chosen for _, _, one in sorted(groups[group], key=lambda file: file[:2])[:most])

    def strangers(chosen: Iterable[str]) -> tuple[Shown, ...]:
        found = sorted((file for group in chosen for file in groups[group] if file[2].unseen), key=lambda file: file[1])
        return tuple(one for _, _, one in found[:OTHERS])

    def known(chosen: Iterable[str]) -> tuple[Shown, ...]:
        found = sorted((file for group in chosen for file in groups[group] if file[0]), key=lambda file: file[1])
        return tuple(one for _, _, one in found[:background])

    return (
        Block(
            name="documents",
            title="Document-like classes",
            text=f"{ORDER} Other pictures are unseen natural photographs of all sources.",
            shown=taken(documents),
            others=strangers(photographs),
            background=known(photographs),
        ),
        Block(
            name="natural",
            title="Natural classes",
            text=f"{ORDER} Other pictures are unseen photographs of other classes, of the same sources too: other"
            " garments, other groceries, other scenes.",
            shown=taken(natural),
            others=strangers(elsewhere),
            background=known(elsewhere),
        ),
    )


def natural_classes(sizes: dict[str, int], least: int) -> list[str]:
    """Return the largest classes of each source of photographs, by the sizes of its groups."""
    large = sorted(
        (group for group, size in sizes.items() if group.startswith("photos/") and size >= least),
        key=lambda group: (-sizes[group], group),
    )
    sources = Counter(group.rsplit("/", 1)[0] for group in large)
    chosen = []
    taken: Counter[str] = Counter()
    for group in large:
        source = group.rsplit("/", 1)[0]
        # A source of one class alone says nothing of what it shows.
        if sources[source] > 1 and group not in SAME_THING and taken[source] < A_SOURCE:
            taken[source] += 1
            chosen.append(group)
    return sorted(chosen)


def not_of(classes: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return the groups that show none of the classes, as far as names say so."""
    names = {group.rsplit("/", 1)[1] for group in classes}
    return [group for group in groups if group.rsplit("/", 1)[1] not in names and group not in SAME_THING]
