"""What the whole inspection still finds with converted references: hashes, both encoders' vectors, local features.

The same pictures are enrolled three times: by the target, by the source and then converted, and by the source as it
was.  Edited copies of them go through the worker's own inspection, by the target for the first two.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from PIL import Image

from shared.types import Reference, SetCreated
from workers.encoders.encoder import Encoder
from workers.evaluation.product import SET, WAYS, Product, Way, build_view, without_local_features
from workers.image_sets.enrolment import DEFAULT_THRESHOLD
from workers.migration.conversion import Converter, converted_references
from workers.training.edits import EDITS, edited


@dataclass(frozen=True, slots=True, kw_only=True)
class PathFigures:
    """One way to be asked (``mode``): shares of the ``copies`` that match their own picture (85 or more).

    ``others``: copies that match another picture with converted references, with native ones.
    """

    mode: str
    copies: int
    native: float
    converted: float
    old: float
    others: tuple[int, int]


def measure_path(
    source: Encoder, target: Encoder, converter: Converter, pictures: Iterable[Image.Image]
) -> tuple[PathFigures, ...]:
    """Return the figures of every way; 5 s of a core for each picture.  Raises ValueError without pictures."""
    kept = list(pictures)
    if not kept:
        raise ValueError("there are no pictures to send copies of")
    with Product(source) as before, Product(target) as now:
        old, native = _enrolled(before, kept), _enrolled(now, kept)
        converted = converted_references(old, converter)
        copies = [(str(n), edited(picture, name, n)) for n, picture in enumerate(kept) for name in EDITS]
        return tuple(
            _figures(
                way,
                (_Asked(now, target, native), _Asked(now, target, converted), _Asked(before, source, old)),
                copies,
            )
            for way in WAYS
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who is asked, and what is enrolled there."""

    product: Product
    encoder: Encoder
    references: Sequence[Reference]


def _figures(way: Way, asked: tuple[_Asked, _Asked, _Asked], copies: Sequence[tuple[str, bytes]]) -> PathFigures:
    (native, native_others), (converted, converted_others), (old, _) = (_found(each, way, copies) for each in asked)
    return PathFigures(
        mode=way.mode,
        copies=len(copies),
        native=native,
        converted=converted,
        old=old,
        others=(converted_others, native_others),
    )


def _found(asked: _Asked, way: Way, copies: Sequence[tuple[str, bytes]]) -> tuple[float, int]:
    """The share of the copies that match their own picture, and how many match another."""
    references = asked.references if way.local else [without_local_features(each) for each in asked.references]
    created = SetCreated(name=SET, threshold=DEFAULT_THRESHOLD, thorough=way.thorough)
    asked.product.search_in(build_view(asked.encoder, references, [created]))
    own = others = 0
    for reference, data in copies:
        matched = {match.reference for match in asked.product.inspect(data).matches if match.matched}
        own += reference in matched
        others += bool(matched - {reference})
    return round(own / len(copies), 4), others


def _enrolled(product: Product, pictures: Sequence[Image.Image]) -> list[Reference]:
    return [
        product.fingerprint(_png(picture)).as_reference(str(number), set_name=SET)
        for number, picture in enumerate(pictures)
    ]


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    return stream.getvalue()


__all__ = ["PathFigures", "measure_path"]
