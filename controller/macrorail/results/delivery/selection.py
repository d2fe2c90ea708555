"""Selects the runs to deliver, and gives the reason for each run that is left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from macrorail.errors import ConfigError, MacrorailError
from macrorail.results.export.metadata import Description, describe
from macrorail.results.verify import verify
from macrorail.run_folder.campaign_folder import QUARANTINE, is_campaign_folder
from macrorail.run_folder.journal import JOURNAL
from macrorail.run_folder.record import Record, read_record
from macrorail.states import State


@dataclass(frozen=True)
class DeliveredRun:
    """A run to deliver.

    Attributes
    ----------
    name
        Name of the run's folder in the package.
    record
        Contents of the run folder.
    description
        Metadata of the run.
    """

    name: str
    record: Record
    description: Description

    @property
    def specimen_id(self) -> str:
        """The id of the specimen."""
        return str(self.record.manifest["specimen"]["id"])


@dataclass(frozen=True)
class Delivery:
    """The runs of a delivery.

    Attributes
    ----------
    runs
        The runs to deliver.
    left_out
        Run folders that are not delivered, each with the reason.
    campaigns
        Those of the given folders that are campaign folders.
    """

    runs: tuple[DeliveredRun, ...]
    left_out: tuple[tuple[Path, str], ...]
    campaigns: tuple[Path, ...]


def select_runs(folders: Iterable[Path]) -> Delivery:
    """Find and verify the runs in folders and their subfolders; select the verified runs.

    Raises
    ------
    ConfigError
        A folder does not exist, two runs have the same name, or no run can be delivered.
    """
    found: dict[Path, bool] = {}
    campaigns: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is not a folder")
        for path, in_quarantine in _runs_in(folder, campaigns):
            found[path.absolute()] = in_quarantine
    runs: list[DeliveredRun] = []
    left_out: list[tuple[Path, str]] = []
    names: set[str] = set()
    for path, in_quarantine in found.items():
        try:
            if in_quarantine:
                left_out.append((path, _why_in_quarantine(path)))
                continue
            record = read_record(path)
            reason = _reason_against(record)
            if reason:
                left_out.append((path, reason))
                continue
            description = describe(record)
        except MacrorailError as error:
            left_out.append((path, str(error)))
            continue
        if path.name in names:
            raise ConfigError(
                f"two runs are named {path.name}, one of them {path}; deliver them separately"
            )
        names.add(path.name)
        runs.append(DeliveredRun(path.name, record, description))
    if not runs:
        why = "".join(f"\n  {path}: {reason}" for path, reason in left_out)
        raise ConfigError(f"there is no run to deliver{why}")
    return Delivery(tuple(runs), tuple(left_out), tuple(campaigns))


def _runs_in(
    folder: Path, campaigns: list[Path], in_quarantine: bool = False
) -> Iterator[tuple[Path, bool]]:
    """Yield run folders and whether each is in quarantine; a folder given by name never is."""
    if is_campaign_folder(folder):
        campaigns.append(folder)
    elif (folder / JOURNAL).is_file():
        yield folder, in_quarantine
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield from _runs_in(path, campaigns, in_quarantine or path.name == QUARANTINE)


def _why_in_quarantine(folder: Path) -> str:
    try:
        reason = (folder / "reason.txt").read_text(encoding="utf-8").strip()
    except OSError:
        reason = "its specimen is not identified, or it was set aside"
    return f"in quarantine: {reason}. To deliver this run nevertheless, name its folder"


def _reason_against(record: Record) -> str:
    """Return why a run cannot be delivered; empty when the run can be delivered."""
    manifest = record.manifest
    if manifest["state"] != State.DONE.value:
        return (
            f"the run is {manifest['state']}; continue it with 'macrorail resume {record.folder}'"
        )
    if manifest["fused"] is None:
        return "the run has no fused picture"
    if not manifest["specimen"] or manifest["specimen"].get("id_from") == "none":
        return "the specimen is not identified (quarantine)"
    troubles = [trouble for check in verify(record) for trouble in check.troubles]
    return "; ".join(troubles)
