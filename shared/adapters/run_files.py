"""``{data_dir}/run/ROLE.json``: which process a role is and which addresses it really bound."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from shared.errors import ConfigError


class RunFile:
    """A role's own file; written whole at every change, removed at the end."""

    def __init__(self, folder: Path, role: str) -> None:
        self._path = folder / f"{role}.json"
        self._values: dict[str, object] = {"role": role, "pid": os.getpid()}

    def announce(self, name: str, address: str) -> None:
        """Add an address and write the file; raises ConfigError where that is not possible."""
        self._values[name] = address
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(self._values) + "\n", encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            raise ConfigError(f"cannot write to {self._path.parent}: {error.strerror}") from error

    def remove(self) -> None:
        """Remove the file, unless another process has taken it over."""
        if read_run_file(self._path.parent, self._path.stem).get("pid") == os.getpid():
            self._path.unlink(missing_ok=True)


def read_run_file(folder: Path, role: str) -> Mapping[str, object]:
    """Return a role's values, or nothing where there is no (whole) file."""
    try:
        values = json.loads((folder / f"{role}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
