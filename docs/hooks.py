"""Pages of the reference that are made from the code while the site is built."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from macrorail.campaign.schema import CampaignSection
from macrorail.cli import command
from macrorail.config.document import Section
from macrorail.config.drivers import driver_names, import_driver
from macrorail.config.lens_file import LensFile
from macrorail.config.protocol import Protocol
from macrorail.config.reference import Key, keys_of, summary_of, written
from macrorail.config.rig import DRIVEN, Rig
from macrorail.running.policies import TABLE

_HEAD = "| key | value | range | default | example | description |\n|---|---|---|---|---|---|\n"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {
        "protocol": "# Protocol file\n\n" + _tree(Protocol, ""),
        "lens": "# Lens file\n\n" + _tree(LensFile, ""),
        "campaign": _campaign(),
        "rig": _rig(),
        "cli": _commands(),
        "policies": _policies(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def on_page_content(html: str, **_: object) -> str:
    """Remove the reStructuredText marks around names of code, such as ``:class:``."""
    return re.sub(r":\w+:<code>~?", "<code>", html)


def _tree(section: type[Section], path: str, level: int = 2) -> str:
    """Return a section and its inner sections, each below a heading with its path in the file."""
    seen: set[type[Section]] = set()
    return "\n".join(_parts(section, path, level, seen))


def _parts(
    section: type[Section], path: str, level: int, seen: set[type[Section]]
) -> Iterator[str]:
    seen.add(section)
    if path:
        yield f"{'#' * level} `{path}`\n"
    yield f"{summary_of(section)}\n"
    yield _table(keys_of(section))
    for key in keys_of(section):
        for inner in key.shape.sections:
            if inner not in seen:
                yield from _parts(inner, f"{path}.{key.name}" if path else key.name, level, seen)


def _table(keys: list[Key]) -> str:
    return _HEAD + "".join(_row(key) for key in keys)


def _row(key: Key) -> str:
    units = f" ({', '.join(key.units)})" if key.units else ""
    cells = (
        f"`{key.name}`",
        key.shape.kind + units,
        key.range,
        "**required**" if key.required else f"`{key.default}`" if key.default else "",
        f"`{written(key.example)}`",
        key.description,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _campaign() -> str:
    return (
        "# Campaign file\n\nA campaign file has two keys. `campaign` is described below. `stack` "
        "is a [protocol](protocol.md) without `specimen` and `identity`, or the name of the file "
        "of such a protocol.\n\n" + _tree(CampaignSection, "campaign")
    )


def _rig() -> str:
    page = ["# Rig file\n", summary_of(Rig) + "\n", _table(keys_of(Rig))]
    for key in keys_of(Rig):
        (section,) = key.shape.sections
        if key.name not in DRIVEN:
            page.append(_tree(section, key.name))
            continue
        page += [f"## `{key.name}`\n", summary_of(section) + "\n", _table(keys_of(section))]
        seen: set[type[Section]] = {section}
        common = {each.name: each for each in keys_of(section)}
        for driver in driver_names(key.name):
            options = import_driver(key.name, driver).Options
            own = [each for each in keys_of(options) if common.get(each.name) != each]
            page.append(f"### `{key.name}` with `driver: {driver}`\n\n{summary_of(options)}\n")
            if own:
                page.append(_table(own))
            for each in own:
                for inner in each.shape.sections:
                    if inner not in seen:
                        page += _parts(inner, f"{key.name}.{each.name}", 4, seen)
        for each in common.values():
            for inner in each.shape.sections:
                if inner not in seen:
                    page += _parts(inner, f"{key.name}.{each.name}", 3, seen)
    return "\n".join(page)


def _commands() -> str:
    app = typer.main.get_command(command())
    text = get_docs_for_click(
        obj=app, ctx=typer.Context(app, info_name="macrorail"), name="macrorail"
    )
    # An example is a line of its own, two spaces in: a block of code.
    return "# Commands\n\n" + re.sub(r"(?m)^  (?=\S)", "    ", text.split("\n", 1)[1])


def _policies() -> str:
    rows = [
        "# Fault policies\n",
        "The steps that a run takes after each fault. They are tried from left to right until a "
        "slice succeeds. `macrorail policies` prints the same table and explains each step.\n",
        "| part | fault | in state | steps | after the last step |\n|---|---|---|---|---|",
    ]
    for policy in TABLE:
        codes = f" ({', '.join(sorted(policy.codes))})" if policy.codes else ""
        steps = ", ".join(
            f"{step.remedy.value} {step.times}x"
            + (f" after {step.back_off_s:g} s" if step.back_off_s else "")
            for step in policy.steps
        )
        states = ", ".join(sorted(state.value for state in policy.states)) or "any state"
        rows.append(
            f"| {policy.part.value} | `{policy.fault.__name__}`{codes} | {states} | {steps or '-'} "
            f"| {policy.last.value} |"
        )
    faults = {policy.fault for policy in TABLE}
    rows.append("\n| fault | meaning |\n|---|---|")
    for fault in sorted(faults, key=lambda each: each.__name__):
        doc = (inspect.getdoc(fault) or "").split("\n\n")[0].replace("\n", " ")
        rows.append(f"| `{fault.__name__}` | {doc} |")
    return "\n".join(rows) + "\n"
