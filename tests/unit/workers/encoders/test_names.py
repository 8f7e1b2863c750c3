import shutil
from pathlib import Path

import pytest

from shared.config import Settings, load
from shared.errors import EncoderUnavailableError, UsageError
from workers.encoders.files import IMPORTED, list_encoders
from workers.encoders.names import EncoderName, card_of, configured_name, find_name

SHIPPED = list_encoders()[-1]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    shutil.copytree(SHIPPED.folder, tmp_path / IMPORTED / "mine")
    return load(None, {"SAFELIGHT_DATA_DIR": str(tmp_path)})


def test_the_configuration_names_a_version_and_a_precision(settings: Settings) -> None:
    assert configured_name(settings) == EncoderName(id=f"{SHIPPED.id}.int8", version=SHIPPED.id, precision="int8")
    worker = settings.worker.model_copy(update={"encoder": "mine", "precision": "fp32"})
    assert configured_name(settings.model_copy(update={"worker": worker})).id == "mine.fp32"


def test_a_version_or_an_index_version_is_found(settings: Settings) -> None:
    assert find_name(settings, "mine") == EncoderName(id="mine.int8", version="mine", precision="int8")
    assert find_name(settings, "mine.fp32").precision == "fp32"
    assert find_name(settings, f"{SHIPPED.id}.int8").version == SHIPPED.id
    with pytest.raises(UsageError, match=r"known: mine"):
        find_name(settings, "yours")


def test_an_encoder_that_is_not_here_says_what_to_copy(settings: Settings) -> None:
    assert card_of(settings, find_name(settings, "mine")).id == "mine"
    with pytest.raises(EncoderUnavailableError, match="copy the folder yours"):
        card_of(settings, EncoderName(id="yours.int8", version="yours", precision="int8"))
    with pytest.raises(EncoderUnavailableError, match="another than mine"):
        card_of(settings, EncoderName(id="mine.int8-0000", version="mine", precision="int8"))
