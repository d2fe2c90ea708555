"""macrorail: unattended focus stacking, from a YAML protocol to one sharp picture.

The Python API, loaded when it is first used::

    plan = macrorail.plan("beetle.yaml", rig="lab.yaml")
    result = macrorail.run("beetle.yaml", rig="lab.yaml", on_event=print)
    fused = macrorail.stack("photos/")
    with macrorail.connect("lab.yaml") as instrument:
        instrument.axis.move_to("20.4 mm")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from macrorail.errors import MacrorailError
    from macrorail.planning.plan import Plan
    from macrorail.planning.range_search.finder import FoundRange
    from macrorail.run_folder import events
    from macrorail.session.api import check, plan, resume, run, search, stack
    from macrorail.session.check import CheckReport
    from macrorail.session.instrument import ConnectedInstrument, connect
    from macrorail.session.results import RunResult, StackResult
    from macrorail.shipped import CONFIGS

# Importing all of macrorail takes a second; workers and short commands import only some modules.
_LOCATIONS = {
    "CONFIGS": "macrorail.shipped",
    "CheckReport": "macrorail.session.check",
    "ConnectedInstrument": "macrorail.session.instrument",
    "FoundRange": "macrorail.planning.range_search.finder",
    "MacrorailError": "macrorail.errors",
    "Plan": "macrorail.planning.plan",
    "RunResult": "macrorail.session.results",
    "StackResult": "macrorail.session.results",
    "check": "macrorail.session.api",
    "connect": "macrorail.session.instrument",
    "events": "macrorail.session.api",
    "plan": "macrorail.session.api",
    "resume": "macrorail.session.api",
    "run": "macrorail.session.api",
    "search": "macrorail.session.api",
    "stack": "macrorail.session.api",
}

__all__ = [
    "CONFIGS",
    "CheckReport",
    "ConnectedInstrument",
    "FoundRange",
    "MacrorailError",
    "Plan",
    "RunResult",
    "StackResult",
    "check",
    "connect",
    "events",
    "plan",
    "resume",
    "run",
    "search",
    "stack",
]


def __getattr__(name: str) -> Any:
    if name not in _LOCATIONS:
        raise AttributeError(f"module 'macrorail' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_LOCATIONS[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
