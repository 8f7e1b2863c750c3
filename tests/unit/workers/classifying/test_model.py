"""A classifier's bytes: what goes in comes out, anything else is refused by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import IntegrityError
from tests.classifier_factories import make_classifier, make_rows
from workers.classifying.model import pack, unpack

CLASSIFIER = make_classifier("receipt", "invoice", mode="all", thresholds={"receipt": 90.0})


def test_what_goes_in_comes_out() -> None:
    again = unpack(pack(CLASSIFIER))
    rows = make_rows(5, 0, seed=3)
    assert np.array_equal(again.scores(rows), CLASSIFIER.scores(rows))
    assert (again.examples, again.rates, again.space) == (CLASSIFIER.examples, CLASSIFIER.rates, CLASSIFIER.space)
    assert (again.labels, again.thresholds, again.mode) == (("invoice", "receipt"), (85.0, 90.0), "all")
    assert pack(again) == pack(CLASSIFIER)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError):
        unpack(data)


def test_what_was_cut_or_is_of_another_format_is_refused() -> None:
    whole = pack(CLASSIFIER)
    for broken in (whole[:-1], whole[:2000], whole.replace(b'"format": 1', b'"format": 2')):
        with pytest.raises(IntegrityError):
            unpack(broken)
