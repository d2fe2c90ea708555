"""Writes the report of a campaign as ``report.html`` in its folder, and as text."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import cv2
import jinja2

from macrorail.campaign.account import CampaignAccount, StackAccount, account_for
from macrorail.campaign.progress import DONE, QUARANTINED
from macrorail.quantity import format_duration, format_fraction, format_size
from macrorail.run_folder.journal import write_whole

REPORT = "report.html"
SIMULATED = "The time of programs and disks is multiplied by the bench's time scale."
_THUMB_PX = 220
_THUMB_QUALITY = 80


def write_campaign_report(folder: Path) -> Path:
    """Write ``report.html`` from the files of a campaign folder; return its path.

    Raises
    ------
    JournalError
        The folder is not a campaign folder, is damaged, or cannot be written.
    """
    path = folder / REPORT
    write_whole(path, _render(account_for(folder), folder))
    return path


def text_report(account: CampaignAccount) -> Iterator[str]:
    """Yield the report as lines of text."""
    facts = dict(_facts(account))
    yield f"{account.id}: " + ", ".join(f"{value} {name}" for name, value in facts.items())
    for one in account.stacks:
        if one.state == QUARANTINED:
            where = f" ({one.folder})" if one.folder else ""
            yield f"quarantine: {one.key} {one.specimen}{where}: {one.why}"
    if not account.total_s:
        return
    yield ""
    yield "Where the time goes:"
    for name, seconds in account.shares:
        share = seconds / account.total_s
        bar = "#" * round(40 * share)
        yield f"  {name:<22}{format_duration(seconds):>13}{share:>7.1%}  {bar}"
    if not account.cycles:
        return
    cycle_s = median(cycle.total for cycle in account.cycles)
    yield ""
    yield f"A cycle, from exposure to exposure, lasts {format_duration(cycle_s)} (median of " + (
        f"{len(account.cycles)}):"
    )
    for name, seconds in account.bottlenecks:
        yield f"  {name:<22}{format_duration(seconds):>13}"
    if account.simulated:
        yield SIMULATED
    (first, _), (second, _) = account.bottlenecks[:2]
    yield f"The bottleneck is {_NAMES[first]}; the next one is {_NAMES[second]}."
    yield ""
    yield "What if:"
    for change in account.what_if:
        yield (
            f"  {change.change:<48}{format_duration(change.cycle_s):>10} a cycle, "
            f"{'at least ' if change.at_least else ''}"
            f"{format_fraction(round(change.gain, 3))} less"
        )


_NAMES = {
    "move": "moves of the rail",
    "settle": "settling",
    "download": "waiting for frames",
    "proof": "checks and journal",
    "exposure": "the exposure",
}


def _facts(account: CampaignAccount) -> Iterator[tuple[str, str]]:
    yield "stacks", str(len(account.stacks))
    yield "done", str(account.count(DONE))
    yield "in quarantine", str(account.count(QUARANTINED))
    left = len(account.stacks) - account.count(DONE) - account.count(QUARANTINED)
    yield "left", str(left)
    yield "slices", str(sum(one.slices for one in account.stacks))
    yield "exposures", str(account.exposures)
    yield "shot again", str(sum(one.rejected for one in account.stacks))
    yield "device faults", str(sum(one.faults for one in account.stacks))
    yield "interruptions", str(account.interruptions)
    yield "of frames", format_size(sum(one.size_bytes for one in account.stacks))
    if account.total_s:
        yield "of instrument time", format_duration(account.total_s)
        yield "stacks an hour", f"{account.count(DONE) / account.total_s * 3600:.3g}"


def _render(account: CampaignAccount, folder: Path) -> str:
    environment = jinja2.Environment(
        # The style sheet is shared with the report of a run.
        loader=jinja2.ChoiceLoader(
            [
                jinja2.PackageLoader("macrorail.campaign", "templates"),
                jinja2.PackageLoader("macrorail.results.report", "templates"),
            ]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"duration": format_duration, "size": format_size}
    left = [one for one in account.stacks if one.state not in (DONE, QUARANTINED)]
    quarantined = [one for one in account.stacks if one.state == QUARANTINED]
    began = ""
    if account.began:
        began = f"{datetime.fromisoformat(account.began):%-d %B %Y, %H:%M} UTC"
    return environment.get_template("campaign.html.j2").render(
        account=account,
        began=began,
        facts=list(_facts(account)),
        left=left,
        quarantined=quarantined,
        names=_NAMES,
        simulated=SIMULATED,
        longest=max((seconds for _, seconds in account.shares), default=1.0),
        cycle_s=median(cycle.total for cycle in account.cycles) if account.cycles else 0.0,
        thumbs={one.key: _thumb(one, folder) for one in account.stacks},
    )


def _thumb(one: StackAccount, folder: Path) -> str:
    """Return a small copy of the stack's picture as a data URL; empty if there is no picture."""
    path = folder / one.folder / "fused.jpg"
    if not one.folder or not path.is_file():
        return ""
    picture = cv2.imread(str(path))
    if picture is None:
        return ""
    height, width = picture.shape[:2]
    if width > _THUMB_PX:
        size = (_THUMB_PX, max(1, round(height * _THUMB_PX / width)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _THUMB_QUALITY])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}" if done else ""
