"""A picture as a classifier compares it: the encoder's vector and the hand-made ones, side by side in one row.

Every kind is L2 = 1 by itself and then weighed, so that a row's products are a weighted sum of the kinds' cosines.
The projections of the hand-made kinds ship as ``models/classifier-v1/features.npz``; rows are kept in float16, and a
row says nothing beside one of another encoder or other projections: ``space`` names both.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from shared.errors import IntegrityError
from shared.types import DecodedFrame
from workers.classifying.dense_features import (
    Floats,
    Pixels,
    aggregate,
    colours,
    edges,
    grid_descriptors,
    shape,
    texture,
)
from workers.decoding.pixels import plane_of
from workers.encoders.files import MODELS

FEATURES: Final = MODELS / "classifier-v1" / "features.npz"
WORDS, EDGES, TEXTURE, COLOURS, SHAPE = "words", "edges", "texture", "colours", "shape"
KINDS: Final = (WORDS, EDGES, TEXTURE, COLOURS, SHAPE)
WEIGHTS: Final = MappingProxyType({"encoder": 1.0, WORDS: 1.3, EDGES: 0.7, TEXTURE: 1.4, COLOURS: 0.7, SHAPE: 0.4})
"""Of each kind: half as much again of any moves the share of documents that are named by a point at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """From a kind's own length to a shorter one: ``mean`` n, ``axes`` n x m, both float32."""

    mean: Floats
    axes: Floats

    def of(self, vector: Floats) -> Floats:
        """Return the projected vector, L2 = 1."""
        return unit(self.apply(vector))

    def apply(self, vectors: Floats) -> Floats:
        """Return a vector or n x length vectors projected, as long as they come out."""
        return np.asarray((vectors - self.mean) @ self.axes, dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureModel:
    """What turns pixels into the hand-made kinds; ``name`` is made from the file's bytes.

    ``descriptor`` shortens a grid descriptor before it is given to one of the k x d ``centres``.
    """

    name: str
    descriptor: Projection
    centres: Floats
    projections: MappingProxyType[str, Projection]

    @property
    def length(self) -> int:
        """Values of all hand-made kinds together."""
        return sum(projection.axes.shape[1] for projection in self.projections.values())

    def describe(self, frame: DecodedFrame, side: int) -> Floats:
        """Return the hand-made kinds of a picture side by side, each L2 = 1 and not yet weighed."""
        pixels = np.frombuffer(frame.pixels, np.uint8).reshape(side, side, 3)
        # A picture that shows too little has no plane; its pixels in grey stand for it.
        plane = plane_of(frame) if frame.plane else pixels[..., 1]
        return self.join(self.kinds(grid_descriptors(plane), plane, pixels))

    def kinds(self, descriptors: Floats, plane: Pixels, pixels: Pixels) -> dict[str, Floats]:
        """Return every kind of a picture at its own length, from n x 128 descriptors of its grid."""
        words = aggregate(self.descriptor.apply(descriptors), self.centres)
        of_plane = {TEXTURE: texture(plane), SHAPE: shape(plane)}
        return {WORDS: words, EDGES: edges(pixels), COLOURS: colours(pixels), **of_plane}

    def join(self, kinds: Mapping[str, Floats]) -> Floats:
        """Return the kinds projected and side by side."""
        return np.concatenate([self.projections[kind].of(kinds[kind]) for kind in KINDS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """Where rows can be compared: one encoder's version, and one file of projections."""

    encoder: str
    features: str

    def __str__(self) -> str:
        return f"{self.encoder}+{self.features}"


def row_of(encoded: Floats, handmade: Floats, model: FeatureModel) -> Floats:
    """Return the weighed row of the encoder's vector and the hand-made kinds; float32."""
    return np.asarray(weigh(np.concatenate([encoded, handmade])[None], model)[0], dtype=np.float32)


def weigh(rows: Floats, model: FeatureModel) -> Floats:
    """Return n x length rows of unit kinds, each kind multiplied by its weight."""
    handmade = [np.full(model.projections[kind].axes.shape[1], WEIGHTS[kind], np.float32) for kind in KINDS]
    first = np.full(rows.shape[1] - model.length, WEIGHTS["encoder"], np.float32)
    return np.asarray(rows * np.concatenate([first, *handmade]), dtype=np.float32)


def unit(vector: NDArray[np.floating]) -> Floats:
    """Return a vector, or each of several rows, scaled to L2 = 1; nothing stays nothing."""
    lengths = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.asarray(vector / np.maximum(lengths, 1e-9), dtype=np.float32)


def space_of(encoder: str) -> Space:
    """Return the space of an encoder's version and the projections that ship."""
    return Space(encoder=encoder, features=shipped_features().name)


def load_features(path: Path = FEATURES) -> FeatureModel:
    """Return the projections in a file; raises IntegrityError where it is broken."""
    try:
        data = path.read_bytes()
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            parts = {name: arrays[name].astype(np.float32) for name in arrays.files}
        return FeatureModel(
            name=hashlib.sha256(data).hexdigest()[:8],
            descriptor=Projection(mean=parts["descriptor_mean"], axes=parts["descriptor_axes"]),
            centres=parts["centres"],
            projections=MappingProxyType(
                {kind: Projection(mean=parts[f"{kind}_mean"], axes=parts[f"{kind}_axes"]) for kind in KINDS}
            ),
        )
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise IntegrityError(f"the classifiers' features in {path} cannot be read: {error!r}") from error


@cache
def shipped_features() -> FeatureModel:
    """Return the projections that ship."""
    return load_features()
