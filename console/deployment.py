"""Puts the parts of a deployment together for commands and the API: the composition root's one place for each."""

from __future__ import annotations

from pathlib import Path

from console.services.policies import PolicyBook
from proxy_addon.catalogue import load_catalogue
from shared.adapters.role import SystemClock
from shared.core.policy_file import KnownNames
from shared.ports import Store
from shared.sealing import Sealer
from workers.classifying.revision_log import names_in_force
from workers.enrolment import ImageSets


def policy_book(store: Store, sealer: Sealer, apps_dir: Path | None) -> PolicyBook:
    """Return the policies of this deployment, checked against its sets, what gives labels and its catalogue."""

    async def known() -> KnownNames:
        catalogue = load_catalogue(apps_dir)
        sets = await ImageSets(store, sealer).list()
        return KnownNames(
            sets=frozenset(summary.name for summary in sets),
            apps=catalogue.apps,
            tags=catalogue.tags,
            classifiers=frozenset(await names_in_force(store, sealer)),
            hash_lists=frozenset(),
        )

    return PolicyBook(store, SystemClock(), known)
