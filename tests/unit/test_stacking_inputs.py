"""What goes into a stack: uneven light, raw files, colour profiles, and memory that is limited."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from macrorail.batch.frame_types import choose_types
from macrorail.batch.frames import Source, read_ahead
from macrorail.errors import StackError
from macrorail.stacking.grain import Grain
from macrorail.stacking.images import read_picture
from macrorail.stacking.light import linear_table
from macrorail.stacking.metadata import colour_profile, result_metadata
from macrorail.stacking.stacker import Stacker
from macrorail.stacking.writing import write_picture
from tests.made_raw import write_raw
from tests.made_stack import make_stack
from tests.score import psnr_db

_EXIF_IFD = 0x8769


@pytest.mark.slow
@pytest.mark.parametrize("bits", [8, 16])
def test_a_lamp_that_flickers_and_changes_colour_leaves_no_trace(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The weakening of grain takes as much from both pictures.
    monkeypatch.setattr(Grain, "deviation", 0.0)
    made = make_stack(bits=bits, width=720, height=480)
    top = (1 << bits) - 1
    lit = []
    for k, frame in enumerate(made.frames):
        light = linear_table(bits)[frame] * (1 + 0.2 * np.array([k % 3 - 1, 0, -(k % 2)]))
        display = np.where(
            light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055
        )
        lit.append(np.clip(np.rint(display * top), 0, top).astype(frame.dtype))
    lit[0] = made.frames[0]
    scores = {}
    for equalise in (True, False):
        stacker = Stacker(equalise=equalise)
        reports = [stacker.add(frame, k) for k, frame in enumerate(lit)]
        scores[equalise] = psnr_db(stacker.finish().image, made.truth)
        if equalise:
            for k, report in enumerate(reports[1:], 1):
                wanted = 1 / (1 + 0.2 * np.array([k % 3 - 1, 0, -(k % 2)]))
                assert np.allclose(report.gains, wanted, atol=0.02)
    assert scores[True] > scores[False] + 1


@pytest.mark.parametrize("mosaic", [(0, 1, 1, 2), (2, 1, 1, 0), (1, 0, 2, 1)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_raw_file_is_developed_into_what_the_camera_saw(
    tmp_path: Path, mosaic: tuple[int, ...], orientation: int
) -> None:
    frame = make_stack(5).frames[4].astype(np.uint8)
    write_raw(tmp_path / "shot.dng", frame, mosaic, orientation)
    pixels = read_picture(tmp_path / "shot.dng")
    assert pixels.dtype == np.uint16
    assert pixels.shape == frame.shape, "never turned, whatever the camera says is up"
    assert psnr_db(pixels, frame) > 42


def test_a_stack_of_raw_files_gives_the_picture(tmp_path: Path) -> None:
    made = make_stack(4)
    stacker, developed = Stacker(), []
    for k, frame in enumerate(made.frames):
        path = tmp_path / f"{k}.dng"
        write_raw(path, frame.astype(np.uint8))
        stacker.add(path, k)
        developed.append(psnr_db(read_picture(path), made.truth))
    assert psnr_db(stacker.finish().image, made.truth) > max(developed) + 2


def test_a_damaged_raw_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.nef"
    path.write_bytes(b"II*\0 not a picture")
    with pytest.raises(StackError, match=r"broken\.nef is damaged"):
        read_picture(path)


def test_beside_pictures_raw_files_are_left_alone(tmp_path: Path) -> None:
    names = ("a1.jpg", "a1.nef", "a2.jpg", "a2.nef")
    chosen, passed_over, doubts = choose_types([tmp_path / name for name in names])
    assert [path.name for path in chosen] == ["a1.jpg", "a2.jpg"]
    assert [one.path.name for one in passed_over] == ["a1.nef", "a2.nef"]
    assert doubts == []


def test_the_profile_of_the_frames_goes_into_the_picture(tmp_path: Path) -> None:
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(64)
    frame = tmp_path / "frame.jpg"
    Image.new("RGB", (32, 32)).save(frame, icc_profile=other)
    assert colour_profile(frame) == other
    plain = tmp_path / "plain.png"
    cv2.imwrite(str(plain), np.zeros((32, 32, 3), np.uint8))
    assumed = colour_profile(plain)
    assert assumed is not None
    named = ImageCms.ImageCmsProfile(io.BytesIO(assumed))
    assert "sRGB" in ImageCms.getProfileDescription(named)
    out = tmp_path / "out.tif"
    write_picture(out, np.zeros((32, 32, 3), np.uint16), None, result_metadata(frame, 1))
    assert colour_profile(out) == other
    exif = Image.Exif()
    exif.get_ifd(_EXIF_IFD)[0xA001] = 0xFFFF  # as bodies say that are set to Adobe RGB
    Image.new("RGB", (32, 32)).save(frame, exif=exif)
    assert colour_profile(frame) is None


def write_shot(path: Path, icc: bytes) -> None:
    """A frame as a camera writes it, turned on its side."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "NIKON CORPORATION", "NIKON D850", 6
    sub = exif.get_ifd(_EXIF_IFD)
    sub[0x829D], sub[0x9003] = IFDRational(56, 10), "2026:11:22 20:00:00"
    sub[0xA434], sub[0x927C] = "105mm f/2.8", b"MakerNote"
    Image.new("RGB", (48, 32), "gray").save(path, exif=exif, icc_profile=icc)


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_a_picture_says_what_it_was_taken_with_and_of_how_many_frames(
    tmp_path: Path, suffix: str
) -> None:
    # Longer than a segment of a JPEG holds.
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(70_000)
    frame, out = tmp_path / "frame.jpg", tmp_path / f"out{suffix}"
    write_shot(frame, icc)
    pixels = np.random.default_rng(1).integers(0, 65536, (32, 48, 3), np.uint16)
    write_picture(out, pixels, 2.5, result_metadata(frame, 7))
    with Image.open(out) as picture:
        exif = picture.getexif()
        assert picture.info["icc_profile"] == icc
        orientation = exif[0x0112]
        picture.load()  # which turns a TIFF upright
    sub = exif.get_ifd(_EXIF_IFD)
    assert (exif[0x010F], exif[0x0110]) == ("NIKON CORPORATION", "NIKON D850")
    assert exif[0x0131].startswith("macrorail ")
    assert (float(sub[0x829D]), sub[0xA434], sub[0x9003]) == (
        5.6,
        "105mm f/2.8",
        "2026:11:22 20:00:00",
    )
    assert (sub[0xA460], sub[0xA461]) == (2, (7, 7)), "a composite, of seven frames"
    assert orientation == 6, "viewers turn the picture as they turn the frames"
    assert 0x927C not in sub, "only the camera can write maker notes"
    assert float(exif[0x011A]) == pytest.approx(4000), "pixels per centimetre of the specimen"
    plain = tmp_path / f"plain{suffix}"
    write_picture(plain, pixels)
    assert np.array_equal(read_picture(out), read_picture(plain))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["frame.jpg", out.name, plain.name]
    )


def test_what_a_frame_does_not_say_is_left_out(tmp_path: Path) -> None:
    raw, strange, spoilt = (tmp_path / name for name in ("a.dng", "b.raf", "c.jpg"))
    write_raw(raw, np.full((128, 192, 3), 128, np.uint8))
    strange.write_bytes(b"FUJIFILMCCD-RAW 0201")
    write_shot(spoilt, b"")
    data = spoilt.read_bytes()
    place = data.index(b"Exif\0\0") + 6
    spoilt.write_bytes(data[:place] + b"XX" + data[place + 2 :])
    for frame in (raw, strange, spoilt):
        out = tmp_path / f"{frame.stem}.jpg.out.jpg"
        write_picture(out, np.zeros((8, 8, 3), np.uint8), None, result_metadata(frame, 2))
        with Image.open(out) as picture:
            assert picture.getexif().get_ifd(_EXIF_IFD)[0xA461] == (2, 2)


def test_frames_read_one_in_place_of_another_are_those_of_their_files(tmp_path: Path) -> None:
    sizes = [(90, 60), (90, 60), (90, 60), (60, 90), (90, 60), (90, 60)]
    for k, (width, height) in enumerate(sizes):
        picture = make_stack(count=1, seed=k, width=width, height=height).frames[0]
        assert cv2.imwrite(str(tmp_path / f"{k}.jpg"), picture)
    seen = 0
    for frame, picture in read_ahead([Source(k, tmp_path / f"{k}.jpg") for k in range(len(sizes))]):
        assert np.array_equal(picture, read_picture(frame.path))
        seen += 1
    assert seen == len(sizes)
