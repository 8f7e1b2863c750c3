"""Puts together what the settings ask for to know who sends."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from proxy_addon.identity.addon import Identification
from proxy_addon.identity.authentication import PasswordIdentifier
from proxy_addon.identity.directory import Directory, parse_directory
from proxy_addon.identity.identifiers import DirectoryIdentifier, GroupsIdentifier, Identifier, Identity, TrustedProxies
from proxy_addon.identity.passwords import Passwords
from proxy_addon.policies.failsafe import Failsafe
from proxy_addon.policies.watched_file import WatchedFile
from shared.config import Settings
from shared.ports import Clock
from shared.telemetry import Metrics


class Senders:
    """The addon that knows who sends, and what has to run beside it."""

    def __init__(self, settings: Settings, failsafe: Failsafe, clock: Clock, metrics: Metrics) -> None:
        """Read the files; raises ConfigError."""
        self._files: list[WatchedFile[Any]] = []
        identity, identifiers = settings.identity, list[Identifier]()
        directory = self._directory(identity.directory) if identity.directory else None
        if directory is not None:
            identifiers.append(DirectoryIdentifier(directory.current))
        if identity.htpasswd is not None:
            passwords = WatchedFile("identity.htpasswd", identity.htpasswd, Passwords.parse)
            self._files.append(passwords)
            identifiers.append(PasswordIdentifier(passwords.current, identity.realm, clock, metrics))
        if directory is not None:
            identifiers.append(GroupsIdentifier(directory.current))
        self.addon = Identification(
            Identity(identifiers),
            TrustedProxies(settings.proxy.trusted_proxies),
            failsafe,
            metrics,
            proxy_protocol=settings.proxy.proxy_protocol,
            device_header=identity.device_header,
        )

    def services(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs for as long as the proxy does."""
        return [file.run() for file in self._files]

    def _directory(self, path: Path) -> WatchedFile[Directory]:
        is_json = path.suffix.lower() == ".json"
        file = WatchedFile("identity.directory", path, lambda text: parse_directory(text, is_json=is_json))
        self._files.append(file)
        return file
