"""Writes a delivery package: an RO-Crate (metadata) in a BagIt bag (checksums).

RO-Crate 1.1 with the Process Run Crate's terms: https://w3id.org/ro/crate/1.1; BagIt: RFC 8493.
"""

from __future__ import annotations

import json
import mimetypes
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

from macrorail.errors import ConfigError, StorageError
from macrorail.extras import needs_extra
from macrorail.results.delivery.selection import DeliveredRun, Delivery
from macrorail.results.delivery.tables import MEDIA, SPECIMENS, media_table, specimens_table
from macrorail.results.export.xmp import packet
from macrorail.run_folder.journal import JOURNAL
from macrorail.run_folder.record import Record, hash_file

_PROCESS_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
#: Files of a run folder: name, media type, description.
_PARTS = (
    ("fused.tif", "image/tiff", "Focus-stacked picture, 16 bits per channel"),
    ("fused.jpg", "image/jpeg", "Focus-stacked picture, 8 bits per channel"),
    ("depth.tif", "image/tiff", "Axis position in micrometres at which each pixel is sharpest"),
    (
        "depth-confidence.png",
        "image/png",
        "Confidence of the depth map: black is none, white is full",
    ),
    ("coverage.png", "image/png", "Coverage map: where the images prove that no slice is missing"),
    ("report.html", "text/html", "Report of the run"),
    ("manifest.json", "application/json", "Slices, coverage, devices, settings, versions"),
    (
        "journal.jsonl",
        "application/jsonl",
        "Journal: everything that was intended and that happened",
    ),
    ("plan.json", "application/json", "The slices as planned"),
    ("protocol.yaml", "application/yaml", "What to shoot"),
    ("rig.yaml", "application/yaml", "The instrument"),
)
_RESULTS = ("fused.tif", "fused.jpg", "depth.tif", "depth-confidence.png")
_ASKED = ("protocol.yaml", "rig.yaml")
_SOFTWARE = "#macrorail"


def write_package(
    delivery: Delivery,
    out: Path,
    name: str,
    with_frames: bool,
    on_progress: Callable[[str], None],
) -> None:
    """Write the package to a temporary folder, verify it, and rename it.

    Parameters
    ----------
    delivery
        The runs to deliver.
    out
        Folder of the package, which must not exist yet.
    name
        Title of the package.
    with_frames
        Whether to include every frame as delivered by the camera.
    on_progress
        Called with a text for each step.

    Raises
    ------
    ConfigError
        ``out`` exists, or a library is missing.
    StorageError
        The disk is full or missing, or a written file differs from its source.
    """
    with needs_extra("delivery", "a delivery"):
        import bagit
        from rocrate.rocrate import ROCrate
    if out.exists():
        raise ConfigError(f"{out} already exists; a delivery is never overwritten")
    aside = out.parent / f".{out.name}-{uuid4().hex[:8]}"
    try:
        crate_folder = aside / "bag"
        crate_folder.mkdir(parents=True)
        crate = ROCrate(version="1.1")
        _describe(crate, delivery, name, with_frames, aside, on_progress)
        crate.write(crate_folder)
        on_progress("writing checksums")
        bag = bagit.make_bag(
            str(crate_folder),
            {
                "External-Description": name,
                "External-Identifier": out.name,
            },
            checksums=["sha256"],
        )
        _check_frames(delivery, crate_folder / "data", with_frames)
        bag.validate()
        crate_folder.rename(out)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error.strerror or error}") from error
    except bagit.BagError as error:
        raise StorageError(f"{out}: the package written is not valid: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _describe(
    crate: Any,
    delivery: Delivery,
    name: str,
    with_frames: bool,
    aside: Path,
    on_progress: Callable[[str], None],
) -> None:
    runs = delivery.runs
    crate.name = name
    specimens = {run.specimen_id for run in runs}
    crate.description = (
        f"Focus-stacked photographs of {len(specimens)} specimen(s) in {len(runs)} run(s), each "
        f"with its depth map, journal and settings"
    )
    crate.datePublished = datetime.now(UTC)
    crate.root_dataset["conformsTo"] = {"@id": _PROCESS_PROFILE}
    _add(crate, _PROCESS_PROFILE, "CreativeWork", {"name": "Process Run Crate", "version": "0.5"})
    _add(
        crate,
        _SOFTWARE,
        "SoftwareApplication",
        {"name": "macrorail", "softwareVersion": version("macrorail")},
    )
    _licence(crate, runs)
    _people(crate, runs)
    for text, file_name, what in (
        (specimens_table(runs), SPECIMENS, "The specimens, in Darwin Core terms"),
        (media_table(runs), MEDIA, "The fused pictures, in Audiovisual Core terms"),
    ):
        path = aside / file_name
        path.write_text(text, encoding="utf-8", newline="")
        crate.add_file(path, file_name, properties=_file_facts(path, "text/csv", what))
    for folder in delivery.campaigns:
        for path in sorted(folder.glob("*.*")):
            if path.is_file():
                facts = _file_facts(path, "", f"File of the campaign {folder.name}")
                crate.add_file(path, f"campaign-{folder.name}/{path.name}", properties=facts)
    actions = []
    for run in runs:
        on_progress(f"adding {run.name}")
        actions.append(_add_run(crate, run, with_frames, aside))
    crate.root_dataset["mentions"] = _single_or_list(actions)


def _licence(crate: Any, runs: tuple[DeliveredRun, ...]) -> None:
    rights = sorted({run.description.rights or "not stated" for run in runs})
    links = [text if "://" in text else f"#rights-{n}" for n, text in enumerate(rights)]
    for link, text in zip(links, rights, strict=True):
        _add(crate, link, "CreativeWork", {"name": text, "description": f"Terms of use: {text}"})
    crate.root_dataset["license"] = _single_or_list([{"@id": link} for link in links])


def _people(crate: Any, runs: tuple[DeliveredRun, ...]) -> None:
    """Add the operators and institutions that the protocols name."""
    operators = {name for run in runs if (name := run.description.operator)}
    if operators:
        crate.root_dataset["author"] = _single_or_list(
            [_operator(crate, o) for o in sorted(operators)]
        )
    terms = [run.description.terms for run in runs]
    institutions = {
        str(one["dwc:institutionCode"]) for one in terms if "dwc:institutionCode" in one
    }
    if institutions:
        crate.root_dataset["publisher"] = _single_or_list(
            [
                _add(crate, f"#institution-{_word(name)}", "Organization", {"name": name})
                for name in sorted(institutions)
            ]
        )


def _operator(crate: Any, name: str) -> Any:
    return _add(crate, f"#operator-{_word(name)}", "Person", {"name": name})


def _word(text: str) -> str:
    return "-".join(text.split())


def _single_or_list(things: list[Any]) -> Any:
    """Return a single entry itself, or a list of several entries, as RO-Crate requires."""
    return things[0] if len(things) == 1 else things


def _add_run(crate: Any, run: DeliveredRun, with_frames: bool, aside: Path) -> Any:
    """Add the files of a run and the action that made the files; return the action."""
    folder, terms = run.record.folder, run.description.terms
    sidecars = (
        (f"{run.name}.xmp", packet(run.description, beside=True), "application/rdf+xml"),
        (f"{run.name}.json", _json(run), "application/json"),
    )
    parts: dict[str, Any] = {}
    for name, media_type, what in _PARTS:
        path = folder / name
        if path.is_file():
            facts = _file_facts(path, media_type, what)
            parts[name] = crate.add_file(path, f"{run.name}/{name}", properties=facts)
    for name, data, media_type in sidecars:
        path = aside / name
        path.write_bytes(data)
        facts = _file_facts(path, media_type, "Metadata in Audiovisual Core and Darwin Core terms")
        parts[name] = crate.add_file(path, f"{run.name}/{name}", properties=facts)
    if with_frames:
        for one in run.record.slices:
            path = folder / str(one["frame"])
            what = f"Frame at {one['achieved_um'] / 1000:g} mm, as delivered by the camera"
            facts = _file_facts(path, "", what)
            parts[str(one["frame"])] = crate.add_file(
                path, f"{run.name}/{one['frame']}", properties=facts
            )
    specimen = _add_specimen(crate, run)
    data = crate.add_dataset(
        dest_path=f"{run.name}/",
        properties={
            "name": f"{run.specimen_id} ({run.name})",
            "description": str(terms["ac:resourceCreationTechnique"]),
            "dateCreated": run.record.began,
        },
    )
    data["about"] = specimen
    data["hasPart"] = list(parts.values())
    # Devices are not added as instruments of the action: this profile allows only programs there.
    devices = _devices(crate, run)
    if devices:
        data["mentions"] = _single_or_list(devices)
    return _add_action(crate, run, parts)


def _add_action(crate: Any, run: DeliveredRun, parts: dict[str, Any]) -> Any:
    properties: dict[str, Any] = {
        "@type": "CreateAction",
        "name": f"Focus stack of {run.specimen_id}",
        "description": str(run.description.terms["ac:resourceCreationTechnique"]),
        "startTime": run.record.began,
        "endTime": _ended(run.record),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
    action = crate.add_action(
        crate.dereference(_SOFTWARE),
        identifier=f"#shooting-{run.name}",
        object=_single_or_list([parts[name] for name in _ASKED if name in parts]),
        result=_single_or_list([parts[name] for name in _RESULTS if name in parts]),
        properties=properties,
    )
    if run.description.operator is not None:
        action["agent"] = _operator(crate, run.description.operator)
    return action


def _devices(crate: Any, run: DeliveredRun) -> list[Any]:
    """Return entities for the camera and the axis, if the run opened them."""
    devices = run.record.manifest["devices"]
    found = []
    for kind in ("camera", "axis"):
        device = devices[kind]
        if device is not None:
            link = f"#device-{_word(str(device['model']))}"
            facts = {"name": device["model"], "description": f"{kind}, {device['version']}"}
            found.append(_add(crate, link, "IndividualProduct", facts))
    return found


def _ended(record: Record) -> str:
    """Return the time of the last line of the journal."""
    *_, last = (record.folder / JOURNAL).read_bytes().splitlines()
    return str(json.loads(last)["at"])


def _add_specimen(crate: Any, run: DeliveredRun) -> Any:
    terms = run.description.terms
    facts: dict[str, Any] = {
        "name": run.specimen_id,
        "additionalType": "http://rs.tdwg.org/dwc/terms/MaterialSample",
        "identifier": [
            str(terms[name])
            for name in ("dwc:occurrenceID", "dwc:catalogNumber", "dwc:materialSampleID")
            if name in terms
        ],
    }
    if "dwc:scientificName" in terms:
        facts["description"] = str(terms["dwc:scientificName"])
    return _add(crate, f"#specimen-{run.specimen_id}", "Thing", facts)


def _add(crate: Any, link: str, kind: str, facts: dict[str, Any]) -> Any:
    """Add an entity if it does not exist yet; return the entity."""
    known = crate.dereference(link)
    if known is not None:
        return known
    return crate.add_jsonld({"@id": link, "@type": kind, **facts})


def _file_facts(path: Path, media_type: str, what: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": path.name,
        "description": what,
        "contentSize": str(path.stat().st_size),
        "sha256": hash_file(path),
    }
    known = media_type or mimetypes.guess_type(path.name)[0]
    if known:
        facts["encodingFormat"] = known
    return facts


def _json(run: DeliveredRun) -> bytes:
    return json.dumps(run.description.to_dict(), indent=2, ensure_ascii=False).encode()


def _check_frames(delivery: Delivery, data: Path, with_frames: bool) -> None:
    """Compare the copied files with the journal.

    The checksums in the package are computed from the copies, so they do not detect a bad copy.

    Raises
    ------
    StorageError
        The hash of a picture or frame differs from the hash in the journal.
    """
    for run in delivery.runs:
        fused = run.record.manifest["fused"]
        wanted = {str(fused["path"]): fused["sha256"]}
        if with_frames:
            wanted |= {str(one["frame"]): one["sha256"] for one in run.record.slices}
        for name, sha256 in wanted.items():
            if hash_file(data / run.name / name) != sha256:
                raise StorageError(f"{run.name}/{name} was not copied correctly; deliver again")
