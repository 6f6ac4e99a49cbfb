"""The command line: options of the whole, and one module per command."""

from __future__ import annotations

import errno
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..container import MAX_PIXELS
from ..errors import ScfError
from . import (
    bench,
    codebook,
    decode,
    demo,
    encode,
    explain,
    info,
    pack,
    train,
    unpack,
    verify,
    warmup,
)
from .console import complain, settings


class ReportingGroup(TyperGroup):
    """Turns the errors that users can cause into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (ScfError, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise
            complain(error)
            raise typer.Exit(1) from error


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"scf {__version__}")
        raise typer.Exit


def _allow_large_pictures(context: typer.Context) -> None:
    """Let Pillow open, while a command runs, whatever the format holds.

    Its own limit is for pictures from strangers; these are files that the user names.
    """
    from PIL import Image

    usual = Image.MAX_IMAGE_PIXELS

    def restore() -> None:
        Image.MAX_IMAGE_PIXELS = usual

    if usual is not None:
        context.call_on_close(restore)
        Image.MAX_IMAGE_PIXELS = max(usual, MAX_PIXELS // 2)  # an error from twice as many on


def _options(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    settings.debug = debug
    _allow_large_pictures(context)


def build_app() -> typer.Typer:
    """Return the app; its help is drawn in colours and boxes on terminals only."""
    app = typer.Typer(
        name="scf",
        cls=ReportingGroup,
        help="Lossless images in the format .scf, with trained codebooks.",
        no_args_is_help=True,
        rich_markup_mode="rich" if sys.stdout.isatty() else None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    app.command("demo")(demo.demo)
    app.command("encode")(encode.encode)
    app.command("decode")(decode.decode)
    app.command("pack")(pack.pack)
    app.command("unpack")(unpack.unpack)
    app.command("info")(info.info)
    app.command("explain")(explain.explain)
    app.command("bench")(bench.bench)
    app.command("verify")(verify.verify)
    app.command("train")(train.train)
    app.add_typer(codebook.app, name="codebook")
    app.command("warmup")(warmup.warmup)
    return app
