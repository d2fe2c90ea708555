"""Which runs are delivered, and which are not, with the reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from macrorail.errors import ConfigError, MacrorailError
from macrorail.results.export.metadata import Description, describe
from macrorail.results.verify import verify
from macrorail.run_folder.campaign_folder import is_campaign_folder
from macrorail.run_folder.journal import JOURNAL
from macrorail.run_folder.record import Record, read_record
from macrorail.states import State


@dataclass(frozen=True)
class Delivered:
    """A run that is delivered.

    Attributes
    ----------
    name
        Of its folder in the package.
    """

    name: str
    record: Record
    description: Description

    @property
    def specimen_id(self) -> str:
        """Of the specimen."""
        return str(self.record.manifest["specimen"]["id"])


@dataclass(frozen=True)
class Gathered:
    """What was found.

    Attributes
    ----------
    runs
        To be delivered.
    left_out
        Run folders that are not, each with the reason.
    campaigns
        Campaign folders among what was given.
    """

    runs: tuple[Delivered, ...]
    left_out: tuple[tuple[Path, str], ...]
    campaigns: tuple[Path, ...]


def gather(folders: Iterable[Path]) -> Gathered:
    """Find runs, however deep, and check each: only what holds together is delivered.

    Raises
    ------
    ConfigError
        Nothing there, or nothing fit for delivery.
    """
    found: dict[Path, None] = {}
    campaigns: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder")
        for path in _runs_in(folder, campaigns):
            found[path.absolute()] = None
    runs: list[Delivered] = []
    left_out: list[tuple[Path, str]] = []
    names: set[str] = set()
    for path in found:
        try:
            record = read_record(path)
            why_not = _why_not(record)
            if why_not:
                left_out.append((path, why_not))
                continue
            description = describe(record)
        except MacrorailError as error:
            left_out.append((path, str(error)))
            continue
        if path.name in names:
            raise ConfigError(
                f"two runs are named {path.name}, one of them {path}: deliver them apart"
            )
        names.add(path.name)
        runs.append(Delivered(path.name, record, description))
    if not runs:
        why = "".join(f"\n  {path}: {reason}" for path, reason in left_out)
        raise ConfigError(f"there is no run to deliver{why}")
    return Gathered(tuple(runs), tuple(left_out), tuple(campaigns))


def _runs_in(folder: Path, campaigns: list[Path]) -> Iterator[Path]:
    if is_campaign_folder(folder):
        campaigns.append(folder)
    elif (folder / JOURNAL).is_file():
        yield folder
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield from _runs_in(path, campaigns)


def _why_not(record: Record) -> str:
    """Why a run is not fit to be delivered, or nothing."""
    manifest = record.manifest
    if manifest["state"] != State.DONE.value:
        return f"the run is {manifest['state']}; go on with 'macrorail resume {record.folder}'"
    if manifest["fused"] is None:
        return "it has no fused picture"
    if not manifest["specimen"] or manifest["specimen"].get("id_from") == "none":
        return "nobody knows which specimen it is (quarantine)"
    troubles = [trouble for check in verify(record) for trouble in check.troubles]
    return "; ".join(troubles)
