"""``safelight config`` and ``safelight ca``."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML

from console.cli.session import session_of
from shared.config import masked
from shared.errors import UsageError

config_app = typer.Typer(help="The configuration.", no_args_is_help=True)
ca_app = typer.Typer(help="The certificate authority that endpoints must trust.", no_args_is_help=True)


class CaFormat(StrEnum):
    """How a certificate is written."""

    PEM = "pem"
    DER = "der"


@config_app.command()
def show(context: typer.Context) -> None:
    """Print the effective configuration, secrets masked."""
    session = session_of(context)
    values = masked(session.settings())
    if session.json:
        print(json.dumps(values))
    else:
        YAML(typ="safe", pure=True).dump(values, sys.stdout)


@ca_app.command()
def export(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write (default: print).")] = None,
    encoding: Annotated[CaFormat, typer.Option("--format", help="pem or der")] = CaFormat.PEM,
) -> None:
    """Print the CA certificate; makes the CA where there is none."""
    from proxy_addon.tls.certificates import export_ca

    certificate = export_ca(session_of(context).settings().data_dir, encoding.value)
    if output is None:
        sys.stdout.flush()
        os.write(sys.stdout.fileno(), certificate)
    else:
        try:
            output.write_bytes(certificate)
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror}") from error
        session_of(context).row({"file": str(output), "format": encoding.value}, f"wrote {output}")
