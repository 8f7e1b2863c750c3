"""The image fingerprinter: an ONNX file, checked, loaded on the device that was asked for, and warmed up.

The file's contract: input ``x`` float32 N x 3 x side x side, RGB 0..255 (normalisation is in the graph); one output,
float32 N x dimension.  A run pads to one of a few fixed batch sizes, each run once at start: a size that was never
seen costs a GPU 0.3 to 8 s (onnxruntime#19838, triton#7776).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shared.core.matching import Calibration
from shared.errors import ConfigError, EncoderUnavailableError

MODELS: Final = Path(__file__).parent / "models"
GPU_MEMORY_BYTES: Final = 2 << 30
DEFAULT_BATCH_LIMIT: Final = 8

Provider = Literal["cpu", "cuda"]
_PROVIDERS: Final[dict[Provider, tuple[str, dict[str, object]]]] = {
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": (
        "CUDAExecutionProvider",
        {
            # The default, EXHAUSTIVE, tries every algorithm for every new shape.
            "cudnn_conv_algo_search": "HEURISTIC",
            # Both keep the arena from doubling itself (onnxruntime#14477).
            "gpu_mem_limit": GPU_MEMORY_BYTES,
            "arena_extend_strategy": "kSameAsRequested",
        },
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderCard:
    """An encoder on disk; ``facts`` is its whole model card."""

    id: str
    folder: Path
    sha256: str
    facts: dict[str, Any]


def list_encoders(models: Path = MODELS) -> list[EncoderCard]:
    """Return the encoders that ship, oldest version first; raises EncoderUnavailableError for a card that is broken."""
    folders = sorted((path.parent for path in models.glob("*/card.json")), key=_natural)
    return [_read_card(folder) for folder in folders]


def load_calibration(folder: Path) -> Calibration:
    """Return the calibration of the encoder in ``folder``, its background bank included.

    Raises OSError and ValueError where a file is missing or broken, ConfigError where the two do not fit.
    """
    bank = np.load(folder / "background.npy", allow_pickle=False).astype(np.float32)
    return Calibration.from_json((folder / "calibration.json").read_text(encoding="utf-8"), bank)


def _natural(folder: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", folder.name)]


def _read_card(folder: Path) -> EncoderCard:
    try:
        facts = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        return EncoderCard(id=folder.name, folder=folder, sha256=facts["sha256"], facts=facts)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EncoderUnavailableError(f"the card of encoder {folder.name} cannot be read: {error!r}") from error


class Encoder:
    """A loaded encoder.  ``embed`` may be called from any thread."""

    def __init__(self, card: EncoderCard, session: Any, calibration: Calibration, *, batch_limit: int) -> None:
        self.id: Final = card.id
        self.calibration: Final = calibration
        self._session = session
        (entry,) = session.get_inputs()
        (result,) = session.get_outputs()
        self.side: Final = int(entry.shape[2])
        self.dimension: Final = int(result.shape[1])
        self._input, self._output = str(entry.name), str(result.name)
        self._buckets = _bucket_sizes(batch_limit)
        for size in self._buckets:
            self._run(np.zeros((size, 3, self.side, self.side), dtype=np.float32))

    @classmethod
    def load(
        cls,
        name: str = "",
        *,
        threads: int = 1,
        provider: Provider = "cpu",
        batch_limit: int = DEFAULT_BATCH_LIMIT,
        models: Path = MODELS,
    ) -> Encoder:
        """Load encoder ``name`` (default: the newest that ships) with ``threads`` on ``provider``.

        Raises ConfigError for an unknown name or two onnxruntimes, EncoderUnavailableError where there is none, the
        file is not the one its card describes, or the provider is not to be had.
        """
        runtime = _import_runtime()
        card = _choose(name, models)
        path = card.folder / "encoder.onnx"
        try:
            model = path.read_bytes()
            calibration = load_calibration(card.folder)
        except (OSError, ValueError) as error:
            raise EncoderUnavailableError(f"encoder {card.id} is incomplete: {error}") from error
        if hashlib.sha256(model).hexdigest() != card.sha256:
            raise EncoderUnavailableError(f"{path} is not the file that its card describes")
        return cls(card, _open_session(runtime, model, threads, provider), calibration, batch_limit=batch_limit)

    def embed(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        """Return n x dimension vectors, L2 = 1, for n pictures of side x side x 3 bytes RGB.

        Blocks while it computes.  Raises EncoderUnavailableError for a result that is none.
        """
        vectors = np.empty((len(pixels), self.dimension), dtype=np.float32)
        largest = self._buckets[-1]
        for start in range(0, len(pixels), largest):
            chunk = pixels[start : start + largest]
            vectors[start : start + len(chunk)] = self._run(self._batch(chunk))[: len(chunk)]
        if not np.isfinite(vectors).all():
            raise EncoderUnavailableError("the encoder gave vectors that are not numbers")
        lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
        return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)

    def _batch(self, pixels: Sequence[bytes]) -> NDArray[np.float32]:
        size = next(bucket for bucket in self._buckets if bucket >= len(pixels))
        batch = np.zeros((size, 3, self.side, self.side), dtype=np.float32)
        for row, picture in enumerate(pixels):
            batch[row] = np.frombuffer(picture, dtype=np.uint8).reshape(self.side, self.side, 3).transpose(2, 0, 1)
        return batch

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        (vectors,) = self._session.run([self._output], {self._input: batch})
        return np.asarray(vectors, dtype=np.float32)


def _bucket_sizes(limit: int) -> tuple[int, ...]:
    """Return 1, 2, 4, … up to ``limit``, which is one of them."""
    return (*(1 << power for power in range(limit.bit_length()) if 1 << power < limit), limit)


def _choose(name: str, models: Path) -> EncoderCard:
    cards = list_encoders(models)
    if not cards:
        raise EncoderUnavailableError(f"there is no encoder in {models}")
    if not name:
        return cards[-1]
    for card in cards:
        if card.id == name:
            return card
    raise ConfigError(f"worker.encoder: there is no {name!r}; known: {', '.join(card.id for card in cards)}")


def _import_runtime() -> Any:
    installed = [name for name in ("onnxruntime", "onnxruntime-gpu") if _is_installed(name)]
    if len(installed) == 2:
        raise ConfigError(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files:"
            " uninstall both, then install safelight[cpu] or safelight[gpu]"
        )
    try:
        import onnxruntime  # noqa: PLC0415 - the base installation has none
    except ImportError as error:
        raise EncoderUnavailableError("no onnxruntime is installed: pip install safelight[cpu]") from error
    return onnxruntime


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _open_session(runtime: Any, model: bytes, threads: int, provider: Provider) -> Any:
    name, settings = _PROVIDERS[provider]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Spinning saves microseconds between runs and burns a core that decoders need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if name not in runtime.get_available_providers():
        raise EncoderUnavailableError(f"worker.provider {provider} needs {name}, which this onnxruntime does not have")
    try:
        session = runtime.InferenceSession(model, options, providers=[(name, settings)])
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise EncoderUnavailableError(f"the encoder cannot be loaded: {error}") from error
    if session.get_providers()[0] != name:
        raise EncoderUnavailableError(f"asked for {name}, onnxruntime fell back to {session.get_providers()[0]}")
    return session
