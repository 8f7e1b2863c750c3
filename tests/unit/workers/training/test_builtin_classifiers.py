"""What the classifiers that ship are fitted on and measured with, on drawings in place of their pictures."""

import hashlib
from dataclasses import replace

import numpy as np

from shared.core.policy_conditions import OTHER
from tests.classifier_factories import make_bank
from workers.classifying.dense_features import Floats
from workers.encoders.files import list_encoders
from workers.training.builtin_classifiers import BUILTINS, NEGATIVES, Known, facts, make

PIXELS = np.zeros((128, 128, 3), np.uint8)
FOLDERS = [folder for labels in BUILTINS.values() for folder in labels]
COUNT = 30


def known_pictures() -> tuple[list[Known], Floats]:
    """Of every folder so many that teach and half as many that do not, each along an axis of its own, and others."""
    known, rows, rows_of_none = [], [], np.zeros(0, np.float32)
    noise = np.random.default_rng(0)
    for axis, folder in enumerate([*FOLDERS, OTHER]):
        for number in range(COUNT if folder != OTHER else 300):
            teaches = folder != OTHER and number % 3 > 0
            known.append(
                Known(folder=folder, source=f"of/{folder}", teaches=teaches, pixels=PIXELS, handmade=rows_of_none)
            )
            # Other pictures are all over the place: none is a twin of one of the bank's.
            spread = 1.0 if folder == OTHER else 0.2
            rows.append(np.eye(len(FOLDERS) + 1)[axis] * 3 + noise.normal(0, spread, len(FOLDERS) + 1))
    return known, np.array(rows, np.float32)


def test_a_builtin_is_measured_on_what_did_not_teach_it_and_keeps_no_digest_of_a_picture() -> None:
    known, rows = known_pictures()
    bank = make_bank()
    wide = np.zeros((len(bank.rows), rows.shape[1]), np.float32)
    wide[:, -1] = 3 + np.random.default_rng(1).normal(0, 0.2, len(wide))
    wide[:, 0] = np.random.default_rng(2).normal(0, 2, len(wide))  # like nothing that is asked for
    card = list_encoders()[-1]
    for name, labels in BUILTINS.items():
        made = make(name, known, rows, replace(bank, rows=wide), card, "int8")
        assert made.labels == tuple(sorted(set(labels.values())))
        assert made.space.encoder == card.files["int8"].index_id
        tried = {label.label: label.true_positives.tried for label in made.rates.labels}
        assert tried == {label: COUNT // 3 * list(labels.values()).count(label) for label in labels.values()}
        assert made.rates.strangers.tried == COUNT // 3 * (len(FOLDERS) - len(labels))
        assert sum(example.label == OTHER for example in made.examples) == min(
            NEGATIVES, COUNT * 2 // 3 * (len(FOLDERS) - len(labels))
        )
        made_up = {hashlib.sha256(f"{name}/{count}".encode()).hexdigest() for count in range(len(made.examples))}
        assert {example.sha256 for example in made.examples} == made_up
        told = facts(made)
        assert set(told["labels"]) == set(made.labels)  # type: ignore[call-overload]
