"""The ``macrorail`` program: loads its commands, and turns errors into messages and exit codes."""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import traceback
from typing import Annotated

import typer

from macrorail.cli.messages import message_console
from macrorail.cli.version import print_version
from macrorail.errors import ConfigError, MacrorailError, OperatorStop

# Some releases of typer contain their own click, with its own error classes.
click_errors = importlib.import_module(typer.BadParameter.__module__)

USAGE_ERROR = 2
BUG = 70

#: Names of the commands in the order of the help. Each command is a module of this package, with a
#: function or a typer app of the same name.
_VERBS = (
    *("demo", "plan", "check", "run", "resume", "stack", "batch", "dof", "policies", "serve"),
    *("report", "home", "export", "verify", "deliver", "jog", "tidy", "calibrate", "firmware"),
    "schema",
)

_IS_POSIX = hasattr(os, "fork")
#: Commands that need signals, sockets and locks that Windows lacks.
_NEED_POSIX = frozenset(
    {"demo", "check", "run", "resume", "serve", "home", "jog", "tidy", "calibrate"}
)


def command(asked: str | None = None) -> typer.Typer:
    """Return the program with only the command ``asked``, or with all if there is no such command.

    Loading all commands takes most of a second.
    """
    app = typer.Typer(
        name="macrorail",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    # Without this callback, typer would not expect the name of the command if there is only one.
    app.callback(invoke_without_command=True)(_macrorail)
    offered = [verb for verb in _VERBS if _IS_POSIX or verb not in _NEED_POSIX]
    for verb in (asked,) if asked in offered else offered:
        found = getattr(importlib.import_module(f"macrorail.cli.{verb}"), verb)
        if isinstance(found, typer.Typer):
            app.add_typer(found)
            continue
        # '-50um' is a distance, not an option.
        app.command(context_settings={"ignore_unknown_options": verb == "jog"})(found)
    return app


def _macrorail(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="print the version and exit")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="with --version: also the versions of the libraries")
    ] = False,
) -> None:
    """Unattended focus stacking: from a YAML protocol to one sharp picture, with proof that no
    slice is missing."""
    if version:
        print_version(as_json)
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise typer.BadParameter("a verb is missing; 'macrorail --help' lists them")
    if as_json:
        raise typer.BadParameter(f"write '--json' after '{context.invoked_subcommand}'")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; no traceback reaches the user.

    Returns
    -------
    int
        0 done; 2 configuration or usage; 3 device; 4 coverage not proven; 5 stopped by the
        operator; 6 stacking; 7 overlap not verified by the images; 70 a bug.
    """
    console = message_console()
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if given and given[0] in _NEED_POSIX and not _IS_POSIX:
            raise ConfigError(
                f"macrorail {given[0]} needs Linux; on Windows, stack, batch, plan and dof work"
            )
        app = command(given[0] if given else None)
        if arguments is None:
            # Imported modules are never freed. Scanning them for garbage takes longer than some
            # commands.
            gc.freeze()
        code = app(given, standalone_mode=False)
    except MacrorailError as error:
        console.print(f"[bold red]{_name(error)}:[/] ", end="")
        console.print(str(error), markup=False, soft_wrap=True)
        return error.exit_code
    except click_errors.ClickException as error:
        error.show()
        return USAGE_ERROR
    except (typer.Abort, KeyboardInterrupt):
        console.print("Stopped.")
        return OperatorStop.exit_code
    except BrokenPipeError:
        # The reader of the output has ended (`macrorail plan | head`). This is not an error, but
        # Python would report it when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            console.print(f"[bold red]Refused:[/] {error.strerror}; make room on the disk")
            return USAGE_ERROR
        console.print("[bold red]This is a bug in macrorail.[/] Please report it with this text:")
        console.print(traceback.format_exc(), markup=False)
        return BUG
    return code if isinstance(code, int) else 0


def _name(error: MacrorailError) -> str:
    from macrorail.campaign.runner import UnfinishedCampaign

    if isinstance(error, UnfinishedCampaign):
        return "Unfinished"
    return {
        2: "Refused",
        3: "Device",
        4: "Coverage",
        5: "Stopped",
        6: "Stacking",
        7: "Not verified",
    }.get(error.exit_code, "Error")
