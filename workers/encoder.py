"""The image fingerprinter: an ONNX file, checked, loaded on the device that was asked for, and warmed up.

The file's contract: input ``x`` float32 N x 3 x side x side, RGB 0..255 (normalisation is in the graph); one output,
float32 N x dimension.  Which file of a version runs depends on the device (workers/encoder_files.py): int8 on a CPU,
fp16 on a GPU, or what ``worker.precision`` says.  A run pads to one of a few fixed batch sizes, each run once at start:
a size that was never seen costs a GPU 0.3 to 8 s (onnxruntime#19838, triton#7776).
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shared.config import Settings
from shared.core.matching import Calibration
from shared.errors import ConfigError, EncoderUnavailableError
from workers.encoder_files import (
    IMPORTED,
    MODELS,
    EncoderCard,
    Precision,
    choose_encoder,
    list_encoders,
    load_calibration,
)

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


class Encoder:
    """A loaded encoder.  ``id`` names its index version; ``embed`` may be called from any thread."""

    def __init__(
        self,
        index_id: str,
        session: Any,
        calibration: Calibration,
        *,
        precision: Precision = "fp32",
        provider: Provider = "cpu",
        batch_limit: int = DEFAULT_BATCH_LIMIT,
    ) -> None:
        self.id: Final = index_id
        self.precision: Final = precision
        self.calibration: Final = calibration
        self._session = session
        self._provider = _PROVIDERS[provider][0]
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
        precision: Precision | Literal["auto"] = "auto",
        batch_limit: int = DEFAULT_BATCH_LIMIT,
        models: Path = MODELS,
        imported: Path | None = None,
    ) -> Encoder:
        """Load encoder ``name`` (default: the newest that ships) with ``threads`` on ``provider``.

        ``imported`` is the folder of imported versions.  Raises ConfigError for an unknown name or two onnxruntimes,
        EncoderUnavailableError where there is none, the file is not the one its card describes, its calibration was
        made for another, or the provider or the precision is not to be had.
        """
        runtime = import_runtime()
        card = choose_encoder(name, models, imported)
        chosen = card.choose(precision, provider)
        model = card.read_model(chosen)
        calibration = card.read_calibration(chosen)
        return cls(
            card.files[chosen].index_id,
            open_session(runtime, model, threads, provider),
            calibration,
            precision=chosen,
            provider=provider,
            batch_limit=batch_limit,
        )

    @classmethod
    def configured(cls, settings: Settings) -> Encoder:
        """Load what the configuration's ``worker`` section names, shipped or imported; raises what ``load`` raises."""
        worker = settings.worker
        return cls.load(
            worker.encoder,
            threads=worker.threads,
            provider=worker.provider,
            precision=worker.precision,
            batch_limit=worker.batch_limit,
            imported=settings.data_dir / IMPORTED,
        )

    def on_device(self) -> bool:
        """Whether it still runs where it was asked to: onnxruntime may move a session whose device fails to the CPU."""
        return bool(self._session.get_providers()[0] == self._provider)

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


def import_runtime() -> Any:
    """Return onnxruntime; raises EncoderUnavailableError where there is none, ConfigError where there are two."""
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


def open_session(runtime: Any, model: bytes, threads: int, provider: Provider) -> Any:
    """Return a session of ``model`` on ``provider`` and nowhere else; raises EncoderUnavailableError."""
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
        session = runtime.InferenceSession(model, options, providers=[(name, settings)], enable_fallback=0)
    except Exception as error:  # onnxruntime raises a dozen unrelated classes
        raise EncoderUnavailableError(f"the encoder cannot be loaded: {error}") from error
    if session.get_providers()[0] != name:
        raise EncoderUnavailableError(f"asked for {name}, onnxruntime fell back to {session.get_providers()[0]}")
    return session


__all__ = [
    "DEFAULT_BATCH_LIMIT",
    "MODELS",
    "Encoder",
    "EncoderCard",
    "Precision",
    "Provider",
    "import_runtime",
    "list_encoders",
    "load_calibration",
    "open_session",
]
