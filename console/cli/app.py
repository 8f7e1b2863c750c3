"""The command tree and the way in.

Only the command that is named is loaded: all of them together take 0.6 s of a core more, which each role that ``up``
starts would pay too.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from functools import cache
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer
from typer.core import TyperGroup
from typer.main import get_group

from console.cli.session import Session
from shared.errors import SafelightError

if TYPE_CHECKING:
    from typer._click import Command

USAGE_STATUS: Final = 2


@cache
def _roles() -> typer.Typer:
    from console.cli import roles

    return _own(roles.register)


@cache
def _checks() -> typer.Typer:
    from console.cli import checks

    return _own(checks.register)


@cache
def _coverage() -> typer.Typer:
    from console.cli import coverage

    return _own(coverage.register)


@cache
def _endpoints() -> typer.Typer:
    from console.cli import endpoints

    return _own(endpoints.register)


def _own(register: Callable[[typer.Typer], None]) -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


@cache
def _sets() -> typer.Typer:
    from console.cli import sets

    return sets.app


@cache
def _index() -> typer.Typer:
    from console.cli import index

    return index.app


@cache
def _classifiers() -> typer.Typer:
    from console.cli import classifier_evaluation, classifiers

    classifier_evaluation.register(classifiers.app)
    return classifiers.app


@cache
def _policies() -> typer.Typer:
    from console.cli import policies

    return policies.app


@cache
def _bypass() -> typer.Typer:
    from console.cli import bypass

    return bypass.app


@cache
def _apps() -> typer.Typer:
    from console.cli import apps

    return apps.app


@cache
def _encoders() -> typer.Typer:
    from console.cli import encoder_bank, encoder_conversion, encoders, evaluation

    for module in (evaluation, encoder_bank, encoder_conversion):
        module.register(encoders.app)
    return encoders.app


@cache
def _labels() -> typer.Typer:
    from console.cli import labels, published_labels

    published_labels.register(labels.app)
    return labels.app


@cache
def _config() -> typer.Typer:
    from console.cli import settings_commands

    return settings_commands.config_app


@cache
def _ca() -> typer.Typer:
    from console.cli import settings_commands

    return settings_commands.ca_app


_COMMANDS: Final[Mapping[str, Callable[[], typer.Typer]]] = MappingProxyType(
    {
        **dict.fromkeys(("up", "proxy", "worker", "alerts", "console"), _roles),
        "check": _checks,
        "coverage": _coverage,
        **dict.fromkeys(("pac", "mobileconfig"), _endpoints),
    }
)
"""Where a command is found under its name."""
_GROUPS: Final[Mapping[str, Callable[[], typer.Typer]]] = MappingProxyType(
    {
        "set": _sets,
        "index": _index,
        "classifier": _classifiers,
        "policy": _policies,
        "bypass": _bypass,
        "apps": _apps,
        "encoder": _encoders,
        "labels": _labels,
        "config": _config,
        "ca": _ca,
    }
)
"""Commands under a common name."""


class _Commands(Mapping[str, "Command"]):
    """What there is, in the order of the help; loaded when it is looked up."""

    def __getitem__(self, name: str) -> Command:
        if name in _COMMANDS:
            return get_group(_COMMANDS[name]()).commands[name]
        group = get_group(_GROUPS[name]())
        group.name = name
        return group

    def __iter__(self) -> Iterator[str]:
        yield from (*_COMMANDS, *_GROUPS)

    def __len__(self) -> int:
        return len(_COMMANDS) + len(_GROUPS)

    def __contains__(self, name: object) -> bool:
        return name in _COMMANDS or name in _GROUPS


class _Root(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("MutableMapping[str, Command]", _Commands())


app = typer.Typer(
    name="safelight",
    cls=_Root,
    help="Inspect images inline, on their way out of and into a company.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="--json and --config FILE work before and after any command.",
)


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
