"""The command tree and the way in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Final

import typer

from console.cli import (
    apps,
    bypass,
    checks,
    classifier_evaluation,
    classifiers,
    coverage,
    encoder_bank,
    encoder_conversion,
    encoders,
    endpoints,
    evaluation,
    index,
    labels,
    policies,
    published_labels,
    roles,
    sets,
    settings_commands,
)
from console.cli.session import Session
from shared.errors import SafelightError

USAGE_STATUS: Final = 2

app = typer.Typer(
    name="safelight",
    help="Inspect images inline, on their way out of and into a company.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="--json and --config FILE work before and after any command.",
)
roles.register(app)
checks.register(app)
coverage.register(app)
endpoints.register(app)
app.add_typer(sets.app, name="set")
app.add_typer(index.app, name="index")
classifier_evaluation.register(classifiers.app)
app.add_typer(classifiers.app, name="classifier")
app.add_typer(policies.app, name="policy")
app.add_typer(bypass.app, name="bypass")
app.add_typer(apps.app, name="apps")
evaluation.register(encoders.app)
encoder_bank.register(encoders.app)
encoder_conversion.register(encoders.app)
app.add_typer(encoders.app, name="encoder")
published_labels.register(labels.app)
app.add_typer(labels.app, name="labels")
app.add_typer(settings_commands.config_app, name="config")
app.add_typer(settings_commands.ca_app, name="ca")


@app.callback()
def root(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="Configuration file (YAML).", show_default=False)] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """Inspect images inline, on their way out of and into a company."""
    context.obj = Session(config_path=config, json=json)


def hoist_global_options(arguments: Sequence[str]) -> list[str]:
    """Move ``--json`` and ``--config FILE`` to the front, wherever they stand before ``--``."""
    front: list[str] = []
    rest: list[str] = []
    pending = iter(arguments)
    for argument in pending:
        if argument == "--":
            rest += [argument, *pending]
        elif argument == "--json" or argument.startswith("--config="):
            front.append(argument)
        elif argument == "--config":
            front += [argument, *(value for value in [next(pending, None)] if value is not None)]
        else:
            rest.append(argument)
    return front + rest


def main() -> None:
    """Run a command; exit 0 done, 1 partly or found, 2 usage or environment."""
    arguments = sys.argv[1:]
    if arguments == ["--version"]:
        print(f"safelight {version('safelight')}")
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # the name of a file may hold bytes that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    try:
        app(hoist_global_options(arguments), prog_name="safelight")
    except SafelightError as error:
        print(f"safelight: {error}", file=sys.stderr)
        sys.exit(USAGE_STATUS)
