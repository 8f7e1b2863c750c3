"""The commands that run: ``up`` and the single roles."""

from __future__ import annotations

import os
from typing import Annotated, Final

import typer

from console.cli.session import session_of
from console.role_runner import run_role
from console.supervisor import run_supervisor

WORKER_NICENESS: Final = 5


def register(app: typer.Typer) -> None:
    """Add the commands; each role imports its own dependencies only when it runs."""
    app.command()(up)
    app.command()(proxy)
    app.command()(worker)
    app.command()(alerts)
    app.command()(console)


def up(context: typer.Context) -> None:
    """Run proxy, worker, console and alert delivery on this machine."""
    session = session_of(context)
    run_supervisor(session.settings(), session.config_path)


def proxy(
    context: typer.Context,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes on one port (default: proxy.processes).", min=1, max=64),
    ] = None,
) -> None:
    """Run the enforcement point."""
    session = session_of(context)
    settings = session.settings()
    if processes is not None:
        settings = settings.model_copy(update={"proxy": settings.proxy.model_copy(update={"processes": processes})})
    if settings.proxy.processes > 1:
        run_supervisor(settings, session.config_path, proxies_only=True)
        return
    from proxy_addon.launcher import run_proxy

    run_role("proxy", run_proxy, settings)


def worker(context: typer.Context) -> None:
    """Run an inspection worker."""
    # Where both share a machine the proxy comes first: a worker that starts takes two seconds of every core, and a flow
    # whose deadline passes meanwhile was answered up to 0.36 s after it.
    os.nice(WORKER_NICENESS)
    from workers.engines.service import run_worker

    run_role("worker", run_worker, session_of(context).settings())


def alerts(context: typer.Context) -> None:
    """Deliver alerts to their sinks."""
    from workers.alert_delivery import run_alerts

    run_role("alerts", run_alerts, session_of(context).settings())


def console(context: typer.Context) -> None:
    """Serve the HTTP API."""
    from console.server import run_console

    run_role("console", run_console, session_of(context).settings())
