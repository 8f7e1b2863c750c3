"""``safelight pac`` and ``safelight mobileconfig``: what endpoints need to be routed through the proxy."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from console.cli.session import Session, session_of
from console.endpoint_route import endpoint_route
from console.services.endpoints import mobileconfig as build_mobileconfig
from console.services.endpoints import pac_file
from shared.adapters.addresses import split_address
from shared.errors import UsageError

Addresses = Annotated[
    list[str] | None, typer.Option("--address", help="host:port of a proxy, in order (default: endpoint.proxies).")
]
FailOpen = Annotated[bool, typer.Option("--fail-open", help="Go around the proxy where none answers.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="File to write (default: print).")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(pac)
    app.command()(mobileconfig)


def pac(context: typer.Context, address: Addresses = None, fail_open: FailOpen = False, output: Output = None) -> None:
    """Print the proxy auto-configuration file that the console serves as /proxy.pac and /wpad.dat."""
    session = session_of(context)
    route = endpoint_route(session.settings(), _checked(address), fail_open=fail_open)
    _write(session, pac_file(route).encode(), output)


def mobileconfig(
    context: typer.Context,
    address: Addresses = None,
    pac_url: Annotated[str, typer.Option(help="Let devices read this PAC file instead of naming a proxy.")] = "",
    organization: Annotated[str, typer.Option(help="Shown on the device.")] = "Safelight",
    fail_open: FailOpen = False,
    output: Output = None,
) -> None:
    """Print a profile for Apple's devices: the CA, and the global HTTP proxy."""
    from proxy_addon.tls.certificates import export_ca

    session = session_of(context)
    settings = session.settings()
    if pac_url and not pac_url.startswith(("http://", "https://")):
        raise UsageError(f"--pac-url: {pac_url} is no http or https address")
    route = endpoint_route(settings, _checked(address), fail_open=fail_open)
    ca = export_ca(settings.data_dir, "der")
    _write(session, build_mobileconfig(ca, route, pac_url=pac_url, organization=organization), output)


def _checked(addresses: list[str] | None) -> list[str]:
    for address in addresses or ():
        try:
            _, port = split_address(address)
        except ValueError:
            port = 0
        if not 0 < port < 65536 or any(letter in address for letter in ' ";\\\n'):
            raise UsageError(f"--address: {address!r} is not host:port")
    return addresses or []


def _write(session: Session, content: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), content)
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    session.row({"file": str(output), "bytes": len(content)}, f"wrote {output}")
