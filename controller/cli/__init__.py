"""The ``macrorail`` command: its verbs, and how errors become messages and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
import traceback

import typer

from controller.campaign.walk import UnfinishedCampaign
from controller.cli.batch import batch
from controller.cli.calibrate import calibrate
from controller.cli.check import check
from controller.cli.deliver import deliver
from controller.cli.dof import dof
from controller.cli.export import export
from controller.cli.firmware import firmware
from controller.cli.home import home
from controller.cli.jog import jog
from controller.cli.messages import message_console
from controller.cli.plan import plan
from controller.cli.policies import policies
from controller.cli.report import report
from controller.cli.resume import resume
from controller.cli.run import run
from controller.cli.serve import serve
from controller.cli.stack import stack
from controller.cli.tidy import tidy_runs
from controller.cli.verify import verify
from controller.errors import MacrorailError, OperatorStop

# Some releases of typer bring a click of their own, whose errors are not click's.
click_errors = importlib.import_module(typer.BadParameter.__module__)

USAGE_ERROR = 2
BUG = 70

app = typer.Typer(
    name="macrorail",
    help="Unattended focus stacking: from a YAML protocol to one sharp picture, with proof that "
    "no slice is missing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
rest = (dof, policies, serve, report, home, export, verify, deliver)
for verb in (plan, check, run, resume, stack, batch, *rest):
    app.command()(verb)
# '-50um' is a distance, not an option.
app.command(context_settings={"ignore_unknown_options": True})(jog)
app.command(name="tidy")(tidy_runs)
app.add_typer(calibrate)
app.add_typer(firmware)


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns its exit code and never lets a traceback through.

    Returns
    -------
    int
        0 done; 2 configuration or usage; 3 device; 4 coverage not proven; 5 stopped by the
        operator; 6 stacking; 70 a bug.
    """
    console = message_console()
    try:
        code = app(arguments, standalone_mode=False)
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
        # Whoever read our output went away (`macrorail plan | head`): not an error of ours, but
        # Python would complain again when it flushes standard output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        console.print("[bold red]This is a bug in macrorail.[/] Please report it with this text:")
        console.print(traceback.format_exc(), markup=False)
        return BUG
    return code if isinstance(code, int) else 0


def _name(error: MacrorailError) -> str:
    if isinstance(error, UnfinishedCampaign):
        return "Unfinished"
    return {2: "Refused", 3: "Device", 4: "Coverage", 5: "Stopped", 6: "Stacking"}.get(
        error.exit_code, "Error"
    )
