"""Puts together what the settings say about TLS that is not decrypted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from proxy_addon.tls.do_not_decrypt import STALE_DAYS, hosts_pattern, load_exceptions
from proxy_addon.tls.pass_through import PassThrough, Record
from proxy_addon.tls.pinning import Limits, PinnedClients
from proxy_addon.tls.tunnels import Tunnels
from shared.config import Settings
from shared.core.activity import Catalogue
from shared.errors import ConfigError
from shared.ports import Clock
from shared.telemetry import Metrics
from shared.types import Direction

APP: Final = "app:"
_NOBODY: Final = "nobody.invalid"
_log = logging.getLogger(__name__)


def pass_through(
    settings: Settings, catalogue: Catalogue, tunnels: Tunnels, clock: Clock, metrics: Metrics, record: Record
) -> PassThrough:
    """Return the addon; raises ConfigError."""
    chosen = settings.pass_through
    exceptions = load_exceptions(chosen.do_not_decrypt, chosen.do_not_decrypt_file)
    old = exceptions.stale(datetime.fromtimestamp(clock.wall(), UTC).date())
    if old:
        _log.warning("do-not-decrypt lists older than %d days should be looked at: %s", STALE_DAYS, ", ".join(old))
    limits = Limits(
        failures=chosen.pinned_failures,
        window=float(chosen.pinned_window_s),
        duration=chosen.pinned_minutes * 60.0,
    )
    never = never_let_through(chosen.never, catalogue)
    return PassThrough(exceptions, PinnedClients(limits), never, tunnels, clock, metrics, record)


def never_let_through(names: list[str], catalogue: Catalogue) -> Callable[[str], bool]:
    """Return the test for hosts that are always decrypted.  Raises ConfigError for an unknown application."""
    pattern = hosts_pattern([name for name in names if not name.startswith(APP)])
    wanted = {name.removeprefix(APP) for name in names if name.startswith(APP)}
    if unknown := sorted(wanted - catalogue.apps - {"*"}):
        raise ConfigError(f"pass_through.never: no application is named {unknown[0]}")
    entries = [entry for entry in catalogue.entries if "*" in wanted or entry.name in wanted]
    hosts = {
        each.pattern: each
        for entry in entries
        for each in (entry.hosts, *(rule.host for rule in entry.rules if rule.direction is Direction.OUTBOUND))
        if not each.fullmatch(_NOBODY)  # a rule for whatever host somebody runs a program on
    }
    patterns = (pattern, *hosts.values())
    return lambda host: any(each.fullmatch(host) for each in patterns)
