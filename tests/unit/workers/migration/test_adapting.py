from dataclasses import replace
from pathlib import Path

import pytest

from shared.config import load
from shared.errors import EncoderUnavailableError, IntegrityError
from tests.classifier_factories import make_bank, make_classifier
from tests.converter_factories import rotation, write_converter
from tests.index_factories import DIMENSION, ENCODER, make_reference
from workers.classifying.vectors import Space
from workers.encoders.embeddings import from_bytes
from workers.encoders.files import list_encoders
from workers.encoders.generations import Generation, Phase
from workers.encoders.names import EncoderName
from workers.migration.adapting import Adapter, Converted, TakenAsIs, adapter_if_any, load_adapter
from workers.migration.conversion import CONVERTERS, load_converter

SHIPPED = list_encoders()[-1]
INT8 = EncoderName(id=f"{SHIPPED.id}.int8", version=SHIPPED.id, precision="int8")
FP32 = EncoderName(id=f"{SHIPPED.id}.fp32", version=SHIPPED.id, precision="fp32")
ONE = EncoderName(id=ENCODER, version="one", precision="fp32")
TWO = EncoderName(id="encoder-2", version="two", precision="fp32")


def adapter_of(pair: TakenAsIs | Converted) -> Adapter:
    return Adapter(pair, make_bank, lambda: 1.0)


def test_only_the_others_references_are_changed_and_their_order_stays() -> None:
    references = [make_reference(1), make_reference(2, encoder="encoder-2"), make_reference(3), make_reference(4)]
    made = adapter_of(TakenAsIs(ENCODER, "encoder-2")).references(references)
    assert [each.reference for each in made] == ["r1", "r2", "r3", "r4"]
    assert {each.encoder for each in made} == {"encoder-2"}
    assert [each.converted_from for each in made] == [ENCODER, "", ENCODER, ENCODER]
    assert made[0].vectors == references[0].vectors


def test_a_converter_converts_and_what_is_broken_stays_for_the_index_to_refuse(tmp_path: Path) -> None:
    write_converter(tmp_path, ENCODER, "encoder-2", weights=rotation(DIMENSION, 2 * DIMENSION))
    adapter = adapter_of(Converted(load_converter(tmp_path, ENCODER, "encoder-2")))
    broken = make_reference(2, vectors=(b"\1\2\3\4",))
    made = adapter.references([make_reference(1), broken, make_reference(3), make_reference(4)])
    assert [each.encoder for each in made] == ["encoder-2", ENCODER, "encoder-2", "encoder-2"]
    assert made[1] == broken
    assert from_bytes(made[3].vectors).shape == (1, 2 * DIMENSION)
    assert adapter.references([]) == []


def test_a_classifier_is_fitted_anew_in_the_other_space() -> None:
    classifier = make_classifier("receipt", "invoice")
    adapter = adapter_of(TakenAsIs("f1", "f2"))
    made = adapter.classifier(classifier)
    assert (made.space.encoder, made.space.features) == ("f2", classifier.space.features)
    assert (made.labels, made.thresholds, made.created) == (classifier.labels, classifier.thresholds, 1.0)
    assert adapter.classifier(made) is made


def test_two_precisions_of_a_version_need_no_converter(tmp_path: Path) -> None:
    settings = load(None, {"SAFELIGHT_DATA_DIR": str(tmp_path)})
    made = load_adapter(settings, FP32, INT8).references([make_reference(1, encoder=INT8.id)])
    assert made[0].encoder == FP32.id


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.SWITCHED])
def test_without_a_converter_it_is_said_how_to_get_one(
    tmp_path: Path, phase: Phase, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load(None, {"SAFELIGHT_DATA_DIR": str(tmp_path)})
    with pytest.raises(EncoderUnavailableError, match="encoder converter"):
        load_adapter(settings, TWO, ONE)
    changing = Generation(encoder=TWO, other=ONE, phase=phase)
    assert adapter_if_any(settings, changing) is None
    assert "no converter" in caplog.text
    write_converter(tmp_path / CONVERTERS, ENCODER, "encoder-2", weights=rotation(DIMENSION, DIMENSION))
    found = adapter_if_any(settings, changing)
    assert found is not None
    assert found.references([make_reference(1)])[0].encoder == "encoder-2"
    assert adapter_if_any(settings, Generation(encoder=ONE)) is None


def test_a_classifier_without_a_bank_is_an_error_that_says_so(tmp_path: Path) -> None:
    settings = load(None, {"SAFELIGHT_DATA_DIR": str(tmp_path)})
    elsewhere = replace(FP32, id="gone.fp32", version="gone")
    adapter = load_adapter(settings, elsewhere, replace(INT8, version="gone"))
    with pytest.raises((EncoderUnavailableError, IntegrityError)):
        adapter.classifier(replace(make_classifier("receipt"), space=Space(encoder=INT8.id, features="abc")))
