"""Identifies the specimen before the first shot: its id is typed, scanned or read from a label."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from macrorail.config.document import read_document
from macrorail.config.protocol import Protocol
from macrorail.config.rig import Rig
from macrorail.devices.connect import connect
from macrorail.errors import ConfigError, IdentityError, JournalError
from macrorail.identity.protocol_copy import as_yaml, with_specimen
from macrorail.identity.resolver import Identity, IdResolver, TakePicture
from macrorail.run_folder.campaign_folder import QUARANTINE
from macrorail.run_folder.record import read_record
from macrorail.session.observer import RunObserver
from macrorail.session.signals import stopped_by_signals
from macrorail.states import State


@dataclass(frozen=True)
class ResolvedSpecimen:
    """A protocol whose specimen has been identified.

    Attributes
    ----------
    wanted
        The protocol with the specimen's id filled in.
    text
        The protocol as YAML, for the run folder; ``None`` when the protocol file is used unchanged.
    out
        Folder in which the run folder is created.
    """

    wanted: Protocol
    text: str | None
    out: Path


def resolve_specimen(
    protocol: Path, wanted: Protocol, given: str | None, rig: Rig, out: Path, observer: RunObserver
) -> ResolvedSpecimen:
    """Identify the specimen of a run and return the completed protocol.

    Parameters
    ----------
    protocol
        Path of the protocol file.
    wanted
        The protocol.
    given
        The id given with ``--specimen``, which is checked like any other id; ``None`` if not given.
    rig
        The instrument.
    out
        Folder in which the run folder is created.
    observer
        Receives messages, and asks the operator.

    Raises
    ------
    IdentityError
        No valid id was found, and the protocol does not put such runs into quarantine.
    """
    if wanted.identity is None:
        if given is None:
            return ResolvedSpecimen(wanted, None, out)
        return _filled(protocol, {"id": given}, out)
    id_resolver = IdResolver(wanted.identity, protocol.parent, ids_in(out))
    if given is not None:
        return _filled(protocol, id_resolver.accept(given).specimen, out)
    if wanted.identity.origin == "list":
        identity = _only_one(id_resolver)
    else:
        with label_camera(wanted, rig) as look:
            identity = id_resolver.identify(protocol.stem, observer.ask, look)
    report_identity(identity, observer)
    folder = out / QUARANTINE if identity.quarantined else out
    return _filled(protocol, identity.specimen, folder)


def _only_one(id_resolver: IdResolver) -> Identity:
    """Return the identity of the specimen in the list, which must contain exactly one."""
    if len(id_resolver.listed) != 1:
        raise IdentityError(
            f"the list names {len(id_resolver.listed)} specimens, but a run has only one; give "
            f"the specimen's id with --specimen ID"
        )
    return id_resolver.accept(id_resolver.listed[0].label)


def report_identity(identity: Identity, observer: RunObserver) -> None:
    """Report the specimen and the origin of its id, or why it is unknown."""
    if identity.quarantined:
        observer.message(
            f"QUARANTINE: shooting as {identity.id}. {identity.quarantined}", "warning"
        )
    else:
        observer.message(f"Specimen {identity.id}, from the {identity.origin}.")


@contextmanager
def label_camera(wanted: Protocol, rig: Rig) -> Iterator[TakePicture | None]:
    """Yield a function that photographs the label; ``None`` if ids are not read from labels."""
    identity = wanted.identity
    if identity is None or identity.origin != "frame":
        yield None
        return
    with (
        connect(rig) as instrument,
        stopped_by_signals(instrument.clock),
        tempfile.TemporaryDirectory(prefix="macrorail-label-") as folder,
    ):
        instrument.camera.open()
        instrument.camera.configure(wanted.camera_settings)
        if identity.position_um is not None:
            instrument.axis.open(wanted.closest_approach_um)
            instrument.axis.home()
            instrument.axis.start_move(identity.position_um)
            instrument.axis.finish_move()
        taken = 0

        def look() -> Path:
            nonlocal taken
            taken += 1
            exposure = instrument.camera.expose(Path(folder) / f"label-{taken}")
            return instrument.camera.collect(exposure).path

        yield look


def ids_in(out: Path) -> Iterator[str]:
    """Yield the specimen ids of the completed runs in a folder."""
    for journal in sorted(out.glob("*/journal.jsonl")):
        try:
            manifest = read_record(journal.parent).manifest
        except (ConfigError, JournalError):
            continue  # the run ended before its first slice, or is damaged: no specimen was shot
        if manifest["state"] == State.DONE.value and manifest["specimen"]:
            yield str(manifest["specimen"]["id"])


def _filled(protocol: Path, specimen: dict[str, str], out: Path) -> ResolvedSpecimen:
    document = read_document(protocol)
    data = with_specimen(document.data, specimen)
    return ResolvedSpecimen(document.validate(Protocol, data=data), as_yaml(data), out)
