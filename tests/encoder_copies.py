"""A second encoder for tests of a change: a copy of the one that ships, under another name, and converters."""

import shutil
from pathlib import Path
from typing import Final

import numpy as np

from tests.converter_factories import write_converter
from workers.encoders.files import IMPORTED, list_encoders
from workers.migration.conversion import CONVERTERS

COPY: Final = "f9-copy"
SHIPPED: Final = list_encoders()[-1].id
OLD: Final = f"{SHIPPED}.int8"
NEW: Final = f"{COPY}.int8"
DIMENSION: Final = 512


def install_copy(data_dir: Path) -> None:
    """Put the copy and the converters there and back, which change nothing, where ``encoder import`` would."""
    folder = list_encoders()[-1].folder
    shutil.copytree(folder, data_dir / IMPORTED / COPY)
    same = np.eye(DIMENSION, dtype=np.float32)
    for source, target in ((OLD, NEW), (NEW, OLD)):
        write_converter(data_dir / CONVERTERS, source, target, weights=same, views=same)
