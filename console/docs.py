"""The README's tables, made from the code: ``python -m console.docs README.md`` writes them between their markers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from shared.config import Settings
from shared.telemetry import METRICS


def settings_table() -> str:
    """Return one row per configuration key."""
    rows = ["| key | default | what it is |", "| --- | --- | --- |"]
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            rows += [_row(f"{name}.{key}", inner) for key, inner in field.annotation.model_fields.items()]
        else:
            rows.append(_row(name, field))
    return "\n".join(rows)


def _row(key: str, field: Any) -> str:
    default = "" if field.default in (None, PydanticUndefined, "") else f"`{field.default}`"
    return f"| `{key}` | {default} | {field.description} |"


def metrics_table() -> str:
    """Return one row per metric."""
    rows = ["| metric | kind | labels | what it counts |", "| --- | --- | --- | --- |"]
    rows += [f"| `{m.name}` | {m.kind} | {', '.join(m.labels)} | {m.help} |" for m in METRICS]
    return "\n".join(rows)


def with_tables(text: str) -> str:
    """Return ``text`` with every table between its markers made anew."""
    for name, table in {"settings": settings_table(), "metrics": metrics_table()}.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n{table}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")
