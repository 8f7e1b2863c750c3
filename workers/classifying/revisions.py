"""Classifiers in the store."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from shared.ports import Clock, Store
from shared.sealing import Sealer
from workers.classifying.model import Classifier, pack, unpack
from workers.classifying.revision_log import Kind, RevisionBook

CLASSIFIERS: Final = Kind(name="classifier", pack=pack, unpack=unpack)


class ClassifierBook(RevisionBook[Classifier]):
    """Reads and writes classifiers, for commands and the API."""

    def __init__(
        self, store: Store, sealer: Sealer, clock: Clock, shipped: Mapping[str, Classifier] = MappingProxyType({})
    ) -> None:
        super().__init__(store, sealer, clock, CLASSIFIERS, shipped)
