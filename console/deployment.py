"""Puts the parts of a deployment together for commands and the API: the composition root's one place for each."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType

from console.services.policies import PolicyBook
from proxy_addon.activities.catalogue import load_catalogue
from shared.adapters.role import SystemClock
from shared.config import Settings
from shared.core.policy_file import KnownNames
from shared.errors import ConfigError, EncoderUnavailableError, IntegrityError
from shared.ports import Store
from shared.sealing import Sealer
from workers.classifying.builtin import builtins_of
from workers.classifying.model import Classifier
from workers.classifying.revision_log import names_in_force
from workers.classifying.revisions import ClassifierBook
from workers.encoders.in_force import in_force
from workers.image_sets.enrolment import ImageSets
from workers.labels.published import LabelSpaceBook


async def classifier_book(settings: Settings, store: Store, sealer: Sealer) -> ClassifierBook:
    """Return the classifiers of this deployment, with those that ship for its encoder; raises StoreError."""
    return ClassifierBook(store, sealer, SystemClock(), await _shipped(settings, store))


async def _shipped(settings: Settings, store: Store) -> Mapping[str, Classifier]:
    try:
        return builtins_of(settings, (await in_force(settings, store)).encoder)
    except (ConfigError, EncoderUnavailableError):
        return MappingProxyType({})  # this host judges nothing: the workers' have the encoder


async def _labels(settings: Settings, store: Store, sealer: Sealer) -> Mapping[str, frozenset[str]]:
    """Return the labels of what can be read here; raises StoreError."""
    classifiers = await classifier_book(settings, store, sealer)
    spaces = LabelSpaceBook(store, sealer, SystemClock())
    labels: dict[str, frozenset[str]] = {}
    for name in await classifiers.names():
        with suppress(IntegrityError):
            labels[name] = frozenset((await classifiers.show(name))[1].labels)
    for name in await spaces.names():
        with suppress(IntegrityError):
            labels[name] = frozenset((await spaces.show(name))[1].card.names)
    return labels


def policy_book(settings: Settings, store: Store, sealer: Sealer) -> PolicyBook:
    """Return the policies of this deployment, checked against its sets, what gives labels and its catalogue."""

    async def known() -> KnownNames:
        catalogue = load_catalogue(settings.proxy.apps_dir)
        sets = await ImageSets(store, sealer).list()
        return KnownNames(
            sets=frozenset(summary.name for summary in sets),
            apps=catalogue.apps,
            tags=catalogue.tags,
            classifiers=frozenset({*await names_in_force(store, sealer), *await _shipped(settings, store)}),
            hash_lists=frozenset(),
            labels=await _labels(settings, store, sealer),
        )

    return PolicyBook(store, SystemClock(), known)
