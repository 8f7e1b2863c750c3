"""The page of a classifier reads on a narrow screen and takes names for text."""

import re
from dataclasses import replace

from console.classifier_reports import page, sentences
from tests.classifier_factories import make_classifier
from workers.classifying.revision_log import Revision

REVISION = Revision(number=3, kind="", blob="", at=0.0, note="")


def test_each_label_is_a_row() -> None:
    classifier = make_classifier("invoice", "receipt")
    shown = page(REVISION, classifier)
    assert re.findall(r'<tr><td class="text">(\w+)</td>', shown) == ["invoice", "receipt"]
    assert "width=device-width" in shown
    assert "<pre" not in shown, "it would run off the side"
    for rate in (each.true_positives for each in classifier.rates.labels):
        assert f"{rate.count} of {rate.tried}" in shown
    assert "0.5 % at 85.0" in shown
    assert "0.5 % at 85.0" in sentences(REVISION, classifier)


def test_names_are_text_and_nothing_is_loaded() -> None:
    classifier = replace(make_classifier("a<b"), name="<i>")
    shown = page(REVISION, classifier)
    assert "a&lt;b" in shown
    assert "<i>" not in shown
    assert not re.search(r"<script|src=|@import", shown)
