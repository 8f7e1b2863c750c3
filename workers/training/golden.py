"""Golden vectors: what torch computes for sixteen drawings, so that the shipped file is checked where no torch is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from workers.training.dataset import squash
from workers.training.drawing import FAMILIES, draw
from workers.training.export import load_network
from workers.training.network import INPUT_SIDE

PICTURES: Final = 16
COMPONENTS: Final = 16
SIZE: Final = (640, 480)
# Half-precision weights move a component by 1e-4; another Pillow draws and averages a shade differently.
TOLERANCE: Final = 0.01


def golden(checkpoint: Path, encoder: str, side: int = INPUT_SIDE) -> dict[str, Any]:
    """The first components of each drawing's vector, in float32 torch."""
    network = load_network(checkpoint)
    entries = []
    for number in range(PICTURES):
        family = FAMILIES[number % len(FAMILIES)]
        square = np.asarray(squash(draw(family, number, size=SIZE), side), np.float32)
        with torch.no_grad():
            vector = network(torch.from_numpy(square).permute(2, 0, 1)[None])[0]
        entries.append(
            {
                "family": family,
                "seed": number,
                "vector": [round(float(value), 5) for value in vector[:COMPONENTS]],
            }
        )
    return {"encoder": encoder, "size": list(SIZE), "tolerance": TOLERANCE, "pictures": entries}


def main() -> None:
    """Command line: writes the JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("encoder", help="the encoder's id")
    parser.add_argument("out", type=Path)
    parser.add_argument("--side", type=int, default=INPUT_SIDE, help="of the encoder's input")
    arguments = parser.parse_args()
    result = golden(arguments.checkpoint, arguments.encoder, arguments.side)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
