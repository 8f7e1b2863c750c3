"""Candidates for negatives: which images are noted, what is stored of them and for how long, and who may read it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import StoreError
from shared.sealing import Sealer
from tests.classifier_factories import make_classifier, make_rows
from tests.clocks import ManualClock
from tests.factories import make_frame
from tests.memory_store import MemoryStore
from workers.classifying.hard_negatives import (
    DAYS,
    HARD_NEGATIVES_LOG,
    KEPT,
    Candidate,
    Candidates,
    append,
    candidates_of,
    forget,
)
from workers.classifying.model import OTHER, rows_of

SEALER = Sealer(bytes(32))
CLASSIFIER = make_classifier("receipt", "invoice")
FRAME = make_frame()
NOW = ManualClock().wall()
RECEIPT, NOTHING = make_rows(1, 0, noise=0) * 3, make_rows(1, 6, noise=0)


def noted(*digests: str, rows: np.ndarray = RECEIPT, **limits: int) -> Candidates:
    candidates = Candidates(ManualClock(), **limits)
    for digest in digests:
        candidates.note(digest, [FRAME] * len(rows), CLASSIFIER, rows)
    return candidates


def stored(*candidates: Candidate, sealer: Sealer = SEALER) -> MemoryStore:
    store = MemoryStore()
    asyncio.run(append(store, sealer, candidates))
    return store


def found(store: MemoryStore, now: float = NOW) -> Sequence[Candidate]:
    return asyncio.run(candidates_of(store, SEALER, CLASSIFIER, now))


def test_what_comes_near_a_label_is_noted_once_with_its_best_picture() -> None:
    candidates = noted("aa", "aa", rows=np.concatenate([NOTHING, RECEIPT]))
    (taken,) = candidates.take()
    assert (taken.sha256, taken.classifier, taken.label, taken.threshold) == ("aa", "documents", "receipt", 85)
    assert taken.score >= 85
    assert np.allclose(rows_of((taken.example(OTHER),)), RECEIPT)
    assert taken.example(OTHER).label == OTHER
    assert candidates.take() == ()


def test_what_comes_near_none_is_not_noted() -> None:
    assert noted("aa", rows=NOTHING).take() == ()


def test_of_many_the_newest_wait_and_old_ones_may_come_again() -> None:
    candidates = noted("aa", "bb", "cc", waiting=2, known=2)
    assert [each.sha256 for each in candidates.take()] == ["bb", "cc"]
    candidates.note("aa", [FRAME], CLASSIFIER, RECEIPT)
    assert [each.sha256 for each in candidates.take()] == ["aa"]


def test_what_is_stored_is_sealed_and_comes_back_the_highest_score_first() -> None:
    (one,) = noted("aa").take()
    lower = replace(one, sha256="bb", score=80.0)
    store = stored(lower, one, replace(one, score=99.0), replace(one, classifier="rooms", sha256="cc"))
    assert [(each.sha256, each.score) for each in found(store)] == [("aa", 99.0), ("bb", 80.0)]
    assert all(b"receipt" not in entry.value for entry in store.logs[HARD_NEGATIVES_LOG])
    assert found(store, NOW + (DAYS + 1) * 86_400) == ()


def test_what_the_classifier_was_taught_and_what_another_encoder_saw_is_left_out() -> None:
    (one,) = noted("aa").take()
    taught = replace(one, sha256=CLASSIFIER.examples[0].sha256)
    elsewhere = replace(one, sha256="bb", space=replace(one.space, encoder="f2"))
    assert [each.sha256 for each in found(stored(taught, elsewhere, one))] == ["aa"]


def test_the_oldest_go_first_and_all_are_forgotten() -> None:
    (one,) = noted("aa").take()

    async def run() -> tuple[int, int]:
        store = MemoryStore()
        for start in (0, KEPT):
            await append(
                store, SEALER, [replace(one, sha256=f"{start + number:08x}") for number in range(KEPT // 2 + 5)]
            )
        kept = len(await candidates_of(store, SEALER, CLASSIFIER, NOW))
        await forget(store)
        return kept, len(await candidates_of(store, SEALER, CLASSIFIER, NOW))

    assert asyncio.run(run()) == (KEPT, 0)


def test_another_deployments_candidates_are_left_out() -> None:
    (one,) = noted("aa").take()
    assert found(stored(one, sealer=Sealer(b"k" * 32))) == ()


@given(st.binary(max_size=200))
def test_any_bytes_are_left_out(data: bytes) -> None:
    store = MemoryStore()
    asyncio.run(store.append(HARD_NEGATIVES_LOG, [SEALER.seal(data, place="hard-negatives")]))
    assert found(store) == ()


class Truncations(MemoryStore):
    """Counts what it was asked to forget."""

    def __init__(self) -> None:
        super().__init__()
        self.upto: list[int] = []

    async def truncate(self, log: str, upto: int) -> None:
        self.upto.append(upto)
        await super().truncate(log, upto)


async def test_the_store_is_asked_to_forget_only_where_there_is_too_much() -> None:
    store, (candidate,) = Truncations(), noted("aa").take()
    await append(store, SEALER, [candidate] * KEPT)
    assert store.upto == []
    await append(store, SEALER, [candidate] * 2)
    assert store.upto == [2]


class AwayOnce(MemoryStore):
    """Takes nothing the first time; another image comes by meanwhile."""

    def __init__(self, candidates: Candidates) -> None:
        super().__init__()
        self._candidates = candidates
        self._tries = 0

    async def append(self, log: str, values: Sequence[bytes]) -> int:
        self._tries += 1
        if self._tries == 1:
            self._candidates.note("bb", [FRAME], CLASSIFIER, RECEIPT)
            raise StoreError("the store is away")
        return await super().append(log, values)


async def test_a_store_that_is_away_costs_what_was_noted_then_and_no_more() -> None:
    candidates = noted("aa")
    store = AwayOnce(candidates)
    keeping = asyncio.get_running_loop().create_task(candidates.keep(store, SEALER, seconds=0.0))
    await store.wait(HARD_NEGATIVES_LOG, 0, 10.0)
    keeping.cancel()
    assert [each.sha256 for each in await candidates_of(store, SEALER, CLASSIFIER, NOW)] == ["bb"]
