"""An encoder version on disk: a folder named as the version, with a card, a model file and a calibration per precision.

    card.json          what it is; ``precisions`` names each file's SHA-256, size and agreement with torch
    encoder.onnx       fp32            calibration.json        background.npy
    encoder.int8.onnx  int8, for CPUs  calibration.int8.json   background.int8.npy
    encoder.fp16.onnx  fp16, for GPUs  calibration.fp16.json   background.fp16.npy

Precisions give different vectors (int8's least cosine to fp32's is .996), so each is an index version of its own,
NAME.PRECISION, with a calibration of its own.  A calibration is shared only where the card says so (``calibrated_as``),
which the export does for files whose vectors were measured equal; one that was made for another file is refused.
A card without ``precisions`` describes a single fp32 file and keeps its bare name, so indexes made with it stay valid.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from shared.core.matching import Calibration
from shared.errors import ConfigError, EncoderUnavailableError

MODELS: Final = Path(__file__).parents[1] / "models"
IMPORTED: Final = "encoders"
"""Folder of the data directory where versions are that were imported or trained here."""
CARD_LIMIT: Final = 4 << 20

Precision = Literal["fp32", "int8", "fp16"]
MODEL_FILES: Final = MappingProxyType[Precision, str](
    {"fp32": "encoder.onnx", "int8": "encoder.int8.onnx", "fp16": "encoder.fp16.onnx"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrecisionFile:
    """One precision of a version: its model file, and the precision whose calibration it uses (mostly itself)."""

    path: Path
    sha256: str
    index_id: str
    calibrated_as: Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCard:
    """An encoder on disk; ``facts`` is its whole model card, ``sha256`` that of its fp32 file."""

    id: str
    folder: Path
    sha256: str
    facts: dict[str, Any]
    files: MappingProxyType[Precision, PrecisionFile]

    @property
    def imported(self) -> bool:
        """Whether it came by ``encoder import``."""
        return "imported" in self.facts

    @property
    def side(self) -> int:
        """The side of its input in pixels, as the card says; raises EncoderUnavailableError where it does not."""
        try:
            return int(self.facts["input"]["shape"][2])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise EncoderUnavailableError(f"the card of encoder {self.id} says no size of its input") from error

    @property
    def calibrated(self) -> list[Precision]:
        """The precisions with a calibration of their own."""
        return [precision for precision, file in self.files.items() if file.calibrated_as == precision]

    def choose(self, precision: Precision | Literal["auto"], provider: Literal["cpu", "cuda"]) -> Precision:
        """Return the precision to run; ``auto``: fp16 on a GPU, int8 on a CPU, fp32 where there is no such file.

        Raises EncoderUnavailableError for one that this version does not have.
        """
        if precision == "auto":
            quick: Precision = "fp16" if provider == "cuda" else "int8"
            return quick if quick in self.files else "fp32"
        if precision not in self.files:
            known = ", ".join(self.files)
            raise EncoderUnavailableError(f"encoder {self.id} has no {precision} file; worker.precision: {known}")
        return precision

    def read_model(self, precision: Precision) -> bytes:
        """Return the model file; raises EncoderUnavailableError where it is missing or another than the card's."""
        file = self.files[precision]
        try:
            model = file.path.read_bytes()
        except OSError as error:
            raise EncoderUnavailableError(f"encoder {self.id} is incomplete: {error}") from error
        if hashlib.sha256(model).hexdigest() != file.sha256:
            raise EncoderUnavailableError(f"{file.path} is not the file that its card describes")
        return model

    def read_calibration(self, precision: Precision) -> Calibration:
        """Return the calibration of one precision; raises EncoderUnavailableError naming what is missing or wrong."""
        own = self.files[precision].calibrated_as
        try:
            made_for = json.loads(calibration_path(self.folder, own).read_text(encoding="utf-8"))["encoder_sha256"]
            calibration = load_calibration(self.folder, own)
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            raise EncoderUnavailableError(f"encoder {self.id} is incomplete: {precision}: {error}") from error
        if made_for != self.files[own].sha256:
            path = calibration_path(self.folder, own)
            raise EncoderUnavailableError(f"{path} was made for another file than {self.files[own].path.name}")
        return calibration


def calibration_path(folder: Path, precision: Precision) -> Path:
    """Return where a precision's calibration is."""
    return folder / ("calibration.json" if precision == "fp32" else f"calibration.{precision}.json")


def background_path(folder: Path, precision: Precision) -> Path:
    """Return where a precision's background bank is."""
    return folder / ("background.npy" if precision == "fp32" else f"background.{precision}.npy")


def load_calibration(folder: Path, precision: Precision = "fp32") -> Calibration:
    """Return the calibration of the encoder in ``folder``, its background bank included.

    Raises OSError and ValueError where a file is missing or broken, ConfigError where the two do not fit.
    """
    bank = np.load(background_path(folder, precision), allow_pickle=False).astype(np.float32)
    return Calibration.from_json(calibration_path(folder, precision).read_text(encoding="utf-8"), bank)


def list_encoders(models: Path = MODELS, imported: Path | None = None) -> list[EncoderCard]:
    """Return the encoders that ship, oldest version first, after those in the folder ``imported``.

    Raises EncoderUnavailableError for a card that is broken or a name that both folders have.
    """
    folders = [] if imported is None else _folders(imported)
    folders += _folders(models)
    names = [folder.name for folder in folders]
    for name in names:
        if names.count(name) > 1:
            raise EncoderUnavailableError(f"encoder {name} ships and was imported too: rename the imported folder")
    return [read_card(folder) for folder in folders]


def choose_encoder(name: str, models: Path, imported: Path | None) -> EncoderCard:
    """Return the card of a version, the newest that ships for no name; raises ConfigError, EncoderUnavailableError."""
    if not name:
        shipped = list_encoders(models)
        if not shipped:
            raise EncoderUnavailableError(f"there is no encoder in {models}")
        return shipped[-1]
    cards = list_encoders(models, imported)
    for card in cards:
        if card.id == name:
            return card
    raise ConfigError(f"worker.encoder: there is no {name!r}; known: {', '.join(card.id for card in cards)}")


def _folders(models: Path) -> list[Path]:
    return sorted((path.parent for path in models.glob("*/card.json")), key=_natural)


def _natural(folder: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", folder.name)]


def read_card(folder: Path) -> EncoderCard:
    """Return the card of one version; raises EncoderUnavailableError for one that is broken."""
    try:
        with (folder / "card.json").open(encoding="utf-8") as stream:
            facts = json.loads(stream.read(CARD_LIMIT))
        return EncoderCard(
            id=folder.name,
            folder=folder,
            sha256=str(facts["sha256"]),
            facts=facts,
            files=MappingProxyType(_files(folder, facts)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncoderUnavailableError(f"the card of encoder {folder.name} cannot be read: {error!r}") from error


def _files(folder: Path, facts: dict[str, Any]) -> dict[Precision, PrecisionFile]:
    stated = facts.get("precisions")
    versions = {"fp32": {"sha256": facts["sha256"]}} if stated is None else stated
    files: dict[Precision, PrecisionFile] = {}
    for precision, file_name in MODEL_FILES.items():
        if precision not in versions:
            continue
        entry = versions[precision]
        shared = entry.get("calibrated_as", precision)
        if shared not in versions or shared not in MODEL_FILES:
            raise ValueError(f"{precision} is calibrated as {shared!r}, which it does not have")
        files[precision] = PrecisionFile(
            path=folder / file_name,
            sha256=str(entry["sha256"]),
            index_id=_index_id(folder.name, facts, precision),
            calibrated_as=shared,
        )
    if "fp32" not in files:
        raise ValueError("it has no fp32 file")
    return files


def _index_id(name: str, facts: dict[str, Any], precision: Precision) -> str:
    """The name of a version that was imported or made here may come back with another file: its id names the file."""
    if "precisions" not in facts:
        return name
    here = "imported" in facts or facts.get("local") is True
    return f"{name}.{precision}" + (f"-{facts['sha256'][:8]}" if here else "")
