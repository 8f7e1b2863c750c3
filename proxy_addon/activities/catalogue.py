"""The catalogue of applications: what ships with the program, and what its operators add.

Applications change their addresses without a word, so an entry says when its rules were written or last compared with
their source; past ``STALE_DAYS`` it is reported by ``safelight apps list`` and in the log at start.
"""

from __future__ import annotations

from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Final

from shared.core.activity import Catalogue
from shared.core.catalogue_file import AppEntry
from shared.errors import ConfigError

STALE_DAYS: Final = 180
"""Web clients are rebuilt several times a year; half a year is when a look at the source is due."""


def load_catalogue(apps_dir: Path | None = None) -> Catalogue:
    """Read the shipped applications and those of ``apps_dir`` (``*.toml``), whose rules are tried first.

    One of ``apps_dir`` replaces a shipped one of the same name.  Raises ConfigError naming the file and the key.
    """
    folder = files("proxy_addon") / "apps"
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".toml")}
    shipped = Catalogue.from_toml(texts)
    if apps_dir is None:
        return shipped
    own = Catalogue.from_toml(_read(apps_dir))
    kept = tuple(entry for entry in shipped.entries if entry.name not in own.apps)
    return Catalogue(entries=(*own.entries, *kept))


def age_days(entry: AppEntry, today: date) -> int:
    """Return how many days ago an entry was written; 0 for one dated in the future."""
    return max(0, (today - entry.written).days)


def stale(catalogue: Catalogue, today: date) -> tuple[str, ...]:
    """Return the names of the applications whose rules are due for a look."""
    return tuple(entry.name for entry in catalogue.entries if age_days(entry, today) > STALE_DAYS)


def _read(folder: Path) -> dict[str, str]:
    try:
        return {str(file): file.read_text("utf-8") for file in folder.iterdir() if file.suffix == ".toml"}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"proxy.apps_dir: cannot read {folder}: {error}") from error
