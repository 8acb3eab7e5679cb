"""The program, and the only place where an error becomes words and an exit code."""

from __future__ import annotations

import gc
import io
import os
import sys
from contextlib import suppress
from typing import Annotated, Any, TextIO

import typer

from drctl import __version__
from drctl.cli.settings import Settings
from drctl.cli.verbs import Verbs
from drctl.errors import DrctlError, ExitCode

# A short command makes many objects, keeps nearly all of them and is over. Python looks through the new ones whenever
# there are 700 more, in vain; here it waits for so many that only a long run gets there.
_NEW_OBJECTS = 20_000

_EPILOG = (
    "Start here: drctl lab up, then drctl plan failover taskflow-demo. "
    "Exit codes: 0 done, 1 failed, 2 usage, 3 invalid document, 4 objective missed, 5 locked, "
    "6 waits for a person, 7 no-go, 8 aborted, 9 the evidence does not hold."
)

app = typer.Typer(
    name="drctl",
    cls=Verbs,
    help="Disaster-recovery runbooks that run: failover and restore over SSH, journalled, timed against RTO and RPO.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"drctl {__version__}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    state_dir: Annotated[
        str, typer.Option("--state-dir", metavar="DIR", envvar="DRCTL_STATE_DIR", help="Where journal and outputs are.")
    ] = "",
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Disaster-recovery runbooks that run."""
    context.obj = Settings(given=state_dir)


def run() -> None:
    """The console script."""
    gc.set_threshold(_NEW_OBJECTS)
    sys.stdout, sys.stderr = whole(sys.stdout), whole(sys.stderr)
    code = execute(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        _flush_or_let_go(stream)
    gc.freeze()  # else Python looks through every object once more before it ends, and the system frees all anyway
    sys.exit(code)


def whole(stream: TextIO) -> TextIO:
    """The stream, with a buffer below it that writes on until all is written.

    With PYTHONUNBUFFERED, which images of containers like to set, there is none, and Python loses the rest of a line
    when the kernel takes only a part of it: a signal that arrives while a pipe is full is enough
    (https://github.com/python/cpython/issues/85393).
    """
    if not isinstance(getattr(stream, "buffer", None), io.RawIOBase):
        return stream
    stream.flush()
    return open(stream.fileno(), "w", buffering=1, encoding=stream.encoding, errors=stream.errors, closefd=False)


def _flush_or_let_go(stream: TextIO) -> None:
    """A terminal that was closed or a pipe that broke must not turn the run's exit code into Python's own 120."""
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def execute(arguments: list[str]) -> int:
    """Carry out a command line, and return its exit code. No traceback reaches a user."""
    try:
        code: Any = app(arguments, standalone_mode=False)
        return int(code) if isinstance(code, int) else ExitCode.DONE
    except DrctlError as error:
        _say(error, arguments)
        return error.exit_code
    except typer.TyperException as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("\nstopped", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away, as `head` does. Nothing more may be written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except Exception as error:
        return _bug(error)


def _usage(error: typer.TyperException) -> int:
    show = getattr(error, "show", None)
    if show is not None:
        show()
    else:
        typer.echo(str(error), err=True)
    return ExitCode.USAGE


def _say(error: DrctlError, arguments: list[str]) -> None:
    from drctl.screens.problems import show

    show(error, sys.stderr, environ=os.environ, as_json_line="--json" in arguments)


def _bug(error: Exception) -> int:
    """Keep the traceback where a person can send it from, and say what is true."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="drctl-bug-", suffix=".txt", delete=False) as kept:
            # Names and lines only: a message may hold a value that nobody should see.
            kept.writelines(traceback.format_tb(error.__traceback__))
            kept.write(type(error).__name__ + "\n")
        where = f" Its trace is in {kept.name}."
    except OSError:
        where = ""
    typer.echo(f"error: a bug in drctl: {type(error).__name__}.{where}", err=True)
    typer.echo("  Now:  what was sent is in the journal; a run that was going on can be resumed", err=True)
    typer.echo("  Next: drctl status", err=True)
    return ExitCode.BUG
