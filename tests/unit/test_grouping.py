"""Mixed folders of photographs: which are stacks, what is missing, what belongs to none."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
import tifftools
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from macrorail.batch.grouping import group
from macrorail.batch.job import BatchSettings, StackJob
from macrorail.batch.photo import read_photos
from macrorail.batch.watch import Folder
from macrorail.batch.watching import watch_folders
from macrorail.batch.work import make_stack
from macrorail.cli import main
from macrorail.errors import OperatorStop
from tests.made_raw import write_raw
from tests.made_stack import make_stack as make_frames
from tests.studies.grouping import make_folder, trouble

EXIF_IFD = 0x8769


@pytest.mark.parametrize("block", range(8))
def test_mixed_folders_at_random_are_sorted_right(block: int) -> None:
    wrong = {}
    for seed in range(50 * block, 50 * block + 50):
        what = trouble(make_folder(random.Random(seed)))
        if what:
            wrong[seed] = what
    assert not wrong


def photograph(
    path: Path, pixels: object, second: float, focus_m: float | None = None, **how: str
) -> None:
    """A JPEG as a camera, or Lightroom (``how["xmp"]``), leaves it."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "NIKON", how.get("model", "Z 7")
    sub = exif.get_ifd(EXIF_IFD)
    sub[0x9003] = f"2026:11:22 20:{int(second) // 60:02d}:{int(second) % 60:02d}"
    sub[0x9291] = f"{second % 1:.2f}"[2:]
    sub[0x829D], sub[0x920A] = IFDRational(56, 10), IFDRational(105, 1)
    options = {}
    if focus_m is not None and "xmp" in how:
        options["xmp"] = (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
            'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
            'xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" '
            f'aux:ApproximateFocusDistance="{round(focus_m * 10000)}/10000"/>'
            "</rdf:RDF></x:xmpmeta>"
        ).encode()
    elif focus_m is not None:
        sub[0x9206] = IFDRational(round(focus_m * 10000), 10000)
    picture = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    picture.save(path, quality=95, exif=exif, **options)


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Two stacks without a pause between them, one frame lost, a test shot, and a telephone's."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    number, second = 10, 0.0
    for stack in range(2):
        for k, frame in enumerate(make_frames(6, 240, 160, seed=stack + 1).frames):
            number, second = number + 1, second + 0.5
            if (stack, k) != (1, 3):
                path = folder / f"DSC_{number:04d}.jpg"
                photograph(path, frame, second, 0.300 + 0.002 * k)
    photograph(folder / "DSC_0002.jpg", frame, 0.0, 1.5)
    photograph(folder / "phone.jpg", frame, 2.2, model="telephone")
    (folder / "notes.txt").write_text("x")
    return folder


def names(folder: Path, first: int, last: int, without: int = 0) -> list[Path]:
    return [folder / f"DSC_{n:04d}.jpg" for n in range(first, last + 1) if n != without]


def test_photographs_are_read_and_sorted(mixed: Path) -> None:
    found = group(read_photos(sorted(mixed.glob("*.jpg"))))
    assert [[photo.path for photo in one.photos] for one in found.stacks] == [
        names(mixed, 11, 16),
        names(mixed, 17, 22, without=20),
    ]
    assert [one.missing for one in found.stacks] == [
        (),
        ("1 frame is missing between DSC_0019.jpg and DSC_0021.jpg",),
    ]
    assert [photo.path.name for photo, _ in found.strays] == ["DSC_0002.jpg", "phone.jpg"]


def test_lightrooms_focus_distance_is_read(tmp_path: Path) -> None:
    frame = make_frames(1, 60, 40).frames[0]
    photograph(tmp_path / "a.jpg", frame, 1.25, 0.4, xmp="yes")
    (photo,) = read_photos([tmp_path / "a.jpg"])
    assert photo.vergence == pytest.approx(2.5)
    assert photo.taken_s is not None and photo.taken_s % 60 == pytest.approx(1.25)


def test_a_16_bit_tiff_tells_as_much_as_a_jpeg(tmp_path: Path) -> None:
    frame = make_frames(1, 60, 40).frames[0]
    photograph(tmp_path / "a.jpg", frame, 1.25, 0.4)
    with Image.open(tmp_path / "a.jpg") as picture:
        picture.save(tmp_path / "a.tif", exif=picture.getexif())
    info = tifftools.read_tiff(str(tmp_path / "a.tif"))
    tifffile.imwrite(tmp_path / "wide.tif", frame.astype(np.uint16) * 257, photometric="rgb")
    wide = tifftools.read_tiff(str(tmp_path / "wide.tif"))
    for tag in (0x010F, 0x0110, EXIF_IFD):
        wide["ifds"][0]["tags"][tag] = info["ifds"][0]["tags"][tag]
    tifftools.write_tiff(wide, str(tmp_path / "b.tif"))
    jpeg, tiff = read_photos([tmp_path / "a.jpg", tmp_path / "b.tif"])
    assert tiff.kind[1:] == jpeg.kind[1:]
    assert (tiff.taken_s, tiff.vergence) == (jpeg.taken_s, pytest.approx(jpeg.vergence))


def test_maker_notes_are_read_by_exiftool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = make_frames(1, 60, 40).frames[0]
    photograph(tmp_path / "a.jpg", frame, 1.0)
    program = tmp_path / "bin" / "exiftool"
    program.parent.mkdir()
    answer = f'[{{"SourceFile":"{tmp_path}/a.jpg","FocusDistance2":0.5,"SequenceNumber":7}}]'
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    (photo,) = read_photos([tmp_path / "a.jpg"])
    assert (photo.vergence, photo.sequence) == (2.0, 7)


def test_a_watched_folder_gives_a_stack_once_it_is_complete(mixed: Path, tmp_path: Path) -> None:
    now = 0.0
    hidden = mixed / "DSC_0016.jpg"
    data = hidden.read_bytes()
    hidden.write_bytes(data[: len(data) // 8])  # still being copied
    folder = Folder(mixed, tmp_path / "out", BatchSettings(), 30, now=lambda: now)
    assert (folder.look().jobs, folder.look().waiting) == ((), 2)
    now = 20.0
    hidden.write_bytes(data)
    folder.look()
    now = 31.0
    found = folder.look()
    assert [len(job.frames) for job in found.jobs] == [5]
    assert found.waiting == 1
    now = 51.0
    found = folder.look()
    assert [job.name for job in found.jobs] == [
        "20261122-200000-DSC_0011",
        "20261122-200003-DSC_0017",
    ]
    assert found.jobs[1].notes == ("1 frame is missing between DSC_0019.jpg and DSC_0021.jpg",)
    before = [folder.signature(job) for job in found.jobs]
    record = make_stack(found.jobs[1])
    assert record["notes"] == list(found.jobs[1].notes)
    hidden.unlink()
    assert next(folder.signature(job) for job in folder.look().jobs) != before[0]


@pytest.mark.slow
def test_group_stacks_a_mixed_folder_and_leaves_the_rest_alone(
    mixed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["batch", "--group", str(mixed), "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [
        str(out / "20261122-200000-DSC_0011"),
        str(out / "20261122-200003-DSC_0017"),
    ]
    assert "1 frame is missing between DSC_0019.jpg and DSC_0021.jpg" in said.err
    assert "phone.jpg belongs to no stack" in said.err
    assert (out / "20261122-200000-DSC_0011" / "fused.tif").is_file()


def test_a_watched_share_that_drops_out_is_waited_for(mixed: Path, tmp_path: Path) -> None:
    now, said, made = 0.0, [], []
    folder = Folder(mixed, tmp_path / "out", BatchSettings(), 30, now=lambda: now)
    gone = tmp_path / "gone"

    class Steps:
        """Each look is followed by one of these."""

        def __init__(self) -> None:
            self.left = ["wait", "stay away", "come back", "wait", "end"]

        def sleep(self, seconds: float) -> None:
            nonlocal now
            step = self.left.pop(0)
            if step == "come back":
                gone.rename(mixed)
            elif step == "end":
                raise OperatorStop("end")
            now += 31.0

    def make(jobs: list[StackJob]) -> list[StackJob]:
        made.append([job.name for job in jobs])
        # The share drops out while the first stack is made: it fails, and is tried again.
        if len(made) == 1:
            mixed.rename(gone)
            return jobs[:1]
        return []

    with pytest.raises(OperatorStop):
        watch_folders([folder], Steps(), make, said.append)  # type: ignore[arg-type]
    first, second = made[0]
    assert made == [[first, second], [first]]
    assert said.count(f"{mixed} does not exist; waiting until it is available again") == 1
    assert said.count(f"{mixed} is available again") == 1


def test_pairs_in_a_mixed_folder_give_one_stack_of_one_type(tmp_path: Path) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    for k, frame in enumerate(make_frames(4, 96, 64).frames):
        name = f"DSC_{k + 1:04d}"
        photograph(folder / f"{name}.JPG", frame, 1.0 + 2 * k)
        write_raw(folder / f"{name}.DNG", frame, taken=f"2026:11:22 20:00:{1 + 2 * k:02d}")
    (folder / "._DSC_0001.JPG").write_bytes(b"\0\5\x16\7")
    watched = Folder(folder, tmp_path / "out", BatchSettings(), 0.0)
    (job,) = watched.look().jobs
    assert [one.path.suffix for one in job.frames] == [".JPG"] * 4
    assert len(job.passed_over) == 4
    for name in ("DSC_0002.JPG", "DSC_0003.JPG"):
        (folder / name).unlink()
    (job,) = watched.look().jobs
    assert [one.path.name for one in job.frames] == [f"DSC_{k:04d}.DNG" for k in (1, 2, 3, 4)]
