"""The catalogue of applications that ships with the program."""

from __future__ import annotations

from importlib.resources import files

from shared.core.activity import Catalogue


def load_catalogue() -> Catalogue:
    """Read ``apps/*.toml``.  Raises ConfigError naming the file and the key."""
    folder = files("proxy_addon") / "apps"
    texts = {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.name.endswith(".toml")}
    return Catalogue.from_toml(texts)
