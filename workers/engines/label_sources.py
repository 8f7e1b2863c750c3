"""All that gives labels behind one encoder, by its kind: how its stored bytes become something that answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from shared.config import Settings
from shared.errors import EncoderUnavailableError, IntegrityError, UsageError
from workers.classifying.builtin import builtins_of
from workers.classifying.labelling import Answers, ClassifierAnswers
from workers.classifying.model import Classifier
from workers.classifying.model import unpack as unpack_classifier
from workers.classifying.replica import Load
from workers.classifying.revisions import CLASSIFIERS
from workers.classifying.vectors import space_of
from workers.encoders.names import EncoderName
from workers.labels.answering import SpaceAnswers
from workers.labels.network import LabelNetwork
from workers.labels.published import LABEL_SPACES
from workers.labels.published import unpack as unpack_space


class EncoderFacts(Protocol):
    """What is taught behind an encoder depends on: its version, the side of its pictures, its vectors' length."""

    @property
    def id(self) -> str:
        """The version, as the index knows it."""
        ...

    @property
    def side(self) -> int:
        """In pixels."""
        ...

    @property
    def dimension(self) -> int:
        """Numbers of a vector."""
        ...


def loaders(encoder: EncoderFacts, convert: Callable[[Classifier], Classifier] | None = None) -> Mapping[str, Load]:
    """Return what loads each kind for a worker with this encoder; they raise IntegrityError.

    ``convert`` makes another encoder's classifiers this one's, which takes a second; of a label space, whose network
    was trained behind another encoder, nothing is made.
    """

    def classifier(_: str, data: bytes) -> Answers:
        found, space = unpack_classifier(data), space_of(encoder.id)
        if found.space != space and convert is not None:
            try:
                found = convert(found)
            except (UsageError, EncoderUnavailableError) as error:
                raise IntegrityError(f"it cannot be converted from {found.space}: {error}") from error
        if found.space != space:
            raise IntegrityError(f"it was trained with {found.space}, this worker has {space}: train it again")
        return ClassifierAnswers(found)

    def label_space(name: str, data: bytes) -> Answers:
        space = unpack_space(data)
        card = space.card
        if card.encoder not in {"", encoder.id}:
            raise IntegrityError(f"it was trained behind {card.encoder}, this worker has {encoder.id}: train it again")
        shape = (encoder.dimension,) if card.encoder else (3, encoder.side, encoder.side)
        try:
            network = LabelNetwork(card, space.model)
        except UsageError as error:
            raise IntegrityError(str(error)) from error
        if network.inputs != shape:
            raise IntegrityError(f"it takes inputs of {network.inputs}, this worker has {shape}: train it again")
        return SpaceAnswers(name, network)

    return MappingProxyType({CLASSIFIERS.name: classifier, LABEL_SPACES.name: label_space})


def shipped_answers(settings: Settings, encoder: EncoderName) -> Mapping[str, Answers]:
    """Return the classifiers that ship for an encoder, as they answer; raises as `builtins_of`."""
    builtins = builtins_of(settings, encoder)
    return MappingProxyType({name: ClassifierAnswers(classifier) for name, classifier in builtins.items()})
