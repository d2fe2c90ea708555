"""Which files of a folder are the frames, in which order, and what is passed over."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from macrorail.batch import finding
from macrorail.batch.finding import find_stacks
from macrorail.batch.frame_list import FrameFiles, frames_in, frames_named
from macrorail.batch.frame_order import Taken, order_of
from macrorail.batch.job import BatchSettings
from macrorail.cli import main
from macrorail.errors import ConfigError, StackError
from macrorail.stacking import kinds
from macrorail.stacking.metadata import result_metadata
from macrorail.stacking.writing import write_picture
from tests import made_stack
from tests.made_raw import write_raw
from tests.studies.strangers_folders import folder_trouble


def photographs(folder: Path, names: list[str], size: tuple[int, int] = (24, 18)) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for name in names:
        Image.new("RGB", size, "gray").save(folder / name)
    return folder


def raws(folder: Path, names: list[str]) -> None:
    for name in names:
        write_raw(folder / name, np.full((32, 32, 3), 90, np.uint8))


def names(found: FrameFiles) -> list[str]:
    return [frame.path.name for frame in found.frames]


@pytest.mark.parametrize("block", range(4))
def test_folders_at_random_give_their_frames_or_a_refusal(block: int, tmp_path: Path) -> None:
    wrong, count = {}, Counter[str]()
    for seed in range(40 * block, 40 * block + 40):
        folder = tmp_path / str(seed)
        folder.mkdir()
        if what := folder_trouble(seed, folder, count):
            wrong[seed] = what
    assert not wrong
    assert count["clean"] and count["doubted"] and count["refused"]


def test_raw_frames_are_not_given_up_for_one_jpeg(tmp_path: Path) -> None:
    folder = photographs(tmp_path, ["overview.jpg"])
    wanted = [f"DSC_{k:04d}.DNG" for k in range(1, 5)]
    raws(folder, wanted)
    found = frames_in([folder])
    assert names(found) == wanted
    assert [(one.path.name, one.reason) for one in found.passed_over] == [
        ("overview.jpg", "not a frame: the frames are raw files")
    ]


def test_half_pairs_give_the_raw_frames_of_all(tmp_path: Path) -> None:
    folder = photographs(tmp_path, ["DSC_0001.JPG", "DSC_0002.JPG"])
    wanted = [f"DSC_{k:04d}.DNG" for k in range(1, 5)]
    raws(folder, wanted)
    assert names(frames_in([folder])) == wanted
    # As a shell's pattern gives them.
    assert names(frames_named(sorted(folder.iterdir()))) == wanted


def test_frames_that_only_another_type_has_are_not_lost(tmp_path: Path) -> None:
    folder = photographs(tmp_path, [f"DSC_{k:04d}.JPG" for k in (1, 2, 3)])
    raws(folder, ["DSC_0004.DNG"])
    with pytest.raises(StackError, match=r"3 frames are JPEG files, but DSC_0004.DNG"):
        frames_in([folder])
    (folder / "DSC_0004.DNG").rename(folder / "DSC_0004.heic")
    with pytest.raises(StackError, match=r"DSC_0004"):
        frames_in([folder])


def test_what_cannot_be_read_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photographs(tmp_path, ["overview.jpg"])
    for k in range(4):
        (folder / f"IMG_{k}.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    monkeypatch.setattr(kinds, "find_spec", lambda name: None)
    with pytest.raises(StackError, match=r"IMG_0.HEIC and 3 more .*'macrorail.heif.'"):
        frames_in([folder])
    photographs(folder, [f"IMG_{k}.JPG" for k in range(4)])
    (folder / "overview.jpg").unlink()
    assert names(frames_in([folder])) == [f"IMG_{k}.JPG" for k in range(4)]


def test_a_picture_that_is_named_otherwise_is_doubted(tmp_path: Path) -> None:
    folder = photographs(tmp_path, ["overview.jpg", *(f"IMG_{k}.jpg" for k in range(4))])
    assert frames_in([folder]).doubts == (
        "overview.jpg: used although not named like the other 4 frames; move such files away if "
        "they do not belong to the stack",
    )


def test_results_are_never_frames(tmp_path: Path) -> None:
    folder = photographs(tmp_path, ["a1.jpg", "a2.jpg", "a3.jpg"])
    own = folder / "a0.jpg"
    pixels = np.zeros((18, 24, 3), np.uint8)
    write_picture(own, pixels, None, result_metadata(folder / "a1.jpg", 3))
    write_picture(folder / "fused.jpg", pixels)
    found = frames_in([folder], own)
    assert names(found) == ["a1.jpg", "a2.jpg", "a3.jpg"]
    assert {one.path.name: one.reason for one in found.passed_over} == {
        "a0.jpg": "the output itself",
        "fused.jpg": "a result of macrorail",
    }
    assert names(frames_named(sorted(folder.iterdir()))) == names(found)
    # Slabs are stacked again, where nothing else is given.
    assert names(frames_named([own])) == ["a0.jpg"]


def test_a_result_never_replaces_a_frame(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = photographs(tmp_path, ["a1.jpg", "a2.jpg"])
    before = (folder / "a2.jpg").read_bytes()
    for arguments in ([folder], sorted(folder.iterdir())):
        assert main(["stack", *map(str, arguments), "-o", str(folder / "a2.jpg")]) == 2
        assert "would be replaced" in capsys.readouterr().err
    assert main(["stack", str(folder), "-o", str(tmp_path / "o.tif"), "--depth", "x.png"]) == 6
    assert (folder / "a2.jpg").read_bytes() == before


def test_a_link_to_a_frame_is_no_frame_of_its_own(tmp_path: Path) -> None:
    folder = photographs(tmp_path, ["a1.jpg", "a2.jpg"])
    (folder / "a0.jpg").symlink_to(folder / "a2.jpg")
    found = frames_in([folder])
    assert names(found) == ["a1.jpg", "a2.jpg"]
    assert found.passed_over[0].reason == "a link to a2.jpg"


def test_one_frame_is_said_to_be_one(tmp_path: Path) -> None:
    assert frames_in([photographs(tmp_path, ["a.jpg"])]).doubts == (
        "a.jpg is the only frame, so nothing is stacked",
    )


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "damaged or cut short"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "link to a file"),
        (lambda path: Image.new("RGB", (30, 30)).save(path), "must have the same size"),
        (lambda path: Image.new("RGB", (24, 18)).convert("I;16").save(path, "PNG"), "16 bits"),
    ],
)
def test_a_frame_that_is_lost_is_named_before_any_work(
    break_it: object, message: str, tmp_path: Path
) -> None:
    folder = photographs(tmp_path, [f"a{k}.jpg" for k in range(4)])
    break_it(folder / "a2.jpg")  # type: ignore[operator]
    with pytest.raises(StackError, match=message) as caught:
        frames_in([folder])
    assert "a2.jpg" in str(caught.value)


def test_frames_too_small_to_be_aligned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="12 x 12 px, but alignment needs frames of at least 16"):
        frames_in([photographs(tmp_path, ["a.png", "b.png"], (12, 12))])


def order(frames: list[tuple[str, float | None, bool]]) -> tuple[list[str], list[str]]:
    """The names as ordered, and the doubts; frames are given with time and whether it is fine."""
    taken = [Taken(Path(name), None if at is None else (at, fine)) for name, at, fine in frames]
    places, doubts = order_of(taken)
    return [frames[place][0] for place in places], doubts


@pytest.mark.parametrize("times", [None, "fine", "whole", "same"])
@pytest.mark.parametrize(
    "right",
    [
        ["IMG_9998.JPG", "IMG_9999.JPG", "IMG_0001.JPG", "IMG_0002.JPG"],
        ["DSC99999.JPG", "DSC00000.JPG", "DSC00001.JPG"],
        ["P998.jpg", "P999.jpg", "P001.jpg"],
        ["IMG_9997.jpg", "IMG_0002.jpg", "IMG_0003.jpg"],
    ],
)
def test_a_count_that_starts_over_keeps_the_order(right: list[str], times: str | None) -> None:
    step = {"fine": 0.1, "whole": 0.0, "same": 0.0}.get(times or "", 0.0)
    given = [
        (name, None if times is None else 1000.0 + step * k, times == "fine")
        for k, name in enumerate(right)
    ]
    found, doubts = order(sorted(given))
    assert found == right
    assert len(doubts) == 1 and "file numbers restart" in doubts[0]


def test_times_tell_a_count_from_a_wrap() -> None:
    # The lower numbers are from an earlier day: the count did not start over between them.
    given = [("IMG_0001.JPG", 0.0, True), ("IMG_0002.JPG", 1.0, True), ("IMG_9999.JPG", 9e5, True)]
    assert order(given) == ([name for name, _, _ in given], [])


def test_where_names_count_and_the_clock_jumps_names_decide() -> None:
    given = [(f"IMG_{k:04d}.JPG", k - (3600.0 if k > 3 else 0.0), True) for k in range(1, 7)]
    found, doubts = order(given)
    assert found == [name for name, _, _ in given]
    assert "IMG_0004.JPG was taken before IMG_0003.JPG" in doubts[0]


def test_where_names_say_nothing_times_decide() -> None:
    given = [(name, float(k), True) for k, name in enumerate(["c7f1", "0aa2", "b4e9", "9d30"])]
    found, doubts = order(sorted(given))
    assert found == ["c7f1", "0aa2", "b4e9", "9d30"]
    assert "ordered by capture time" in doubts[0]


def test_batch_finds_stacks_beside_a_picture_links_and_closed_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    top = tmp_path / "top"
    for name in ("beetle1", "beetle2"):
        folder = top / name
        folder.mkdir(parents=True)
        for k, frame in enumerate(made_stack.make_stack(2, 64, 48).frames):
            cv2.imwrite(str(folder / f"IMG_{k:04d}.png"), frame)
    photographs(top, ["overview.jpg"])
    (top / "beetle1" / "again").symlink_to(top)
    closed = top / "closed"
    closed.mkdir()
    iterdir = Path.iterdir

    def refuse(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return iterdir(path)

    monkeypatch.setattr(finding.Path, "iterdir", refuse)
    assert main(["batch", str(top), "-o", str(tmp_path / "out"), "--json"]) == 6
    said = capsys.readouterr()
    states = {one["name"]: one["state"] for one in json.loads(said.out)}
    assert states == {"beetle1": "done", "beetle2": "done", "closed": "failed"}
    assert "overview.jpg (a single picture beside folders of stacks)" in said.err
    assert "closed: cannot be read: Permission denied" in " ".join(said.err.split())


def test_a_stack_that_goes_on_in_the_cameras_next_folder_is_said_to(tmp_path: Path) -> None:
    for folder, numbers, first_s in (("100CANON", (9998, 9999), 10), ("101CANON", (1, 2), 12)):
        (tmp_path / folder).mkdir()
        for k, number in enumerate(numbers):
            exif = Image.Exif()
            exif.get_ifd(0x8769)[0x9003] = f"2026:05:06 07:08:{first_s + k:02d}"
            Image.new("RGB", (24, 18)).save(tmp_path / folder / f"IMG_{number:04d}.JPG", exif=exif)
    found = find_stacks([tmp_path], tmp_path / "out", BatchSettings())
    assert len(found.jobs) == 2
    assert all("may contain the rest of the stack" in job.notes[0] for job in found.jobs)
    both = frames_in([tmp_path / "100CANON", tmp_path / "101CANON"])
    assert names(both) == ["IMG_9998.JPG", "IMG_9999.JPG", "IMG_0001.JPG", "IMG_0002.JPG"]
    assert both.doubts == ()


def test_a_folder_without_frames_says_where_they_may_be(tmp_path: Path) -> None:
    photographs(tmp_path / "stack1", ["a.jpg", "b.jpg"])
    with pytest.raises(ConfigError, match="macrorail batch"):
        frames_in([tmp_path])
