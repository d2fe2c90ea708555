"""Results: checked before any work, written whole or not at all, with the frames' metadata."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import IFDRational

from macrorail.cli import main
from macrorail.errors import StackError
from macrorail.exif import read_exif
from macrorail.stacking.metadata import Metadata, result_metadata
from macrorail.stacking.stream_worker import StreamWorker
from macrorail.stacking.writing import check_output, write_depth, write_picture, write_stack
from tests import made_stack
from tests.studies.strangers_files import grey_profile, wide_profile

PIXELS = np.random.default_rng(1).integers(0, 65536, (32, 48, 3), np.uint16)
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'dc:source="drawer 12" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)
IPTC = b"\x1c\x02\x78\x00\x08a beetle"  # Caption/Abstract


def frame(path: Path, profile: bytes | None = None, caption: str = "a beetle") -> Path:
    """A JPEG with EXIF, XMP and IPTC."""
    exif = Image.Exif()
    exif[0x010F], exif[0x010E], exif[0x0112] = "Maker", caption, 6
    exif.get_ifd(0x8769)[0x829D] = IFDRational(56, 10)
    Image.new("RGB", (48, 32), "gray").save(path, exif=exif, icc_profile=profile, xmp=XMP)
    data = path.read_bytes()
    resource = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + len(IPTC).to_bytes(4, "big") + IPTC
    resource += b"\0" * (len(IPTC) % 2)
    segment = b"\xff\xed" + (len(resource) + 2).to_bytes(2, "big") + resource
    path.write_bytes(data[:2] + segment + data[2:])
    return path


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png"])
def test_a_result_has_the_metadata_of_its_frames(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    metadata = result_metadata(frame(tmp_path / "a.jpg", wide_profile()), 7)
    assert metadata.left_out == ()
    assert write_picture(out, PIXELS, 2.5, metadata) == ()
    found = read_exif(out)
    assert found.problems == ()
    assert found.icc == wide_profile()
    assert (found.text(0x010F), found.text(0x010E), found.orientation) == ("Maker", "a beetle", 6)
    assert found.number(0x829D) == 5.6
    assert found.xmp == XMP
    if suffix != ".png":
        assert found.iptc == IPTC
    if shutil.which("exiftool"):
        said = subprocess.run(
            ["exiftool", "-json", "-n", str(out)], capture_output=True, check=True
        ).stdout
        (tags,) = json.loads(said)
        assert (tags["Make"], tags["Source"], tags["Orientation"]) == ("Maker", "drawer 12", 6)
        assert "Warning" not in tags
        if suffix != ".png":
            assert tags["Caption-Abstract"] == "a beetle"


def test_a_tiff_has_no_caption_that_nobody_wrote(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((32, 48, 3), np.uint8), photometric="rgb")
    assert "shape" in read_exif(tmp_path / "a.tif").text(0x010E)
    for metadata in (None, result_metadata(tmp_path / "a.tif", 2)):
        write_picture(tmp_path / "out.tif", PIXELS, None, metadata)
        assert read_exif(tmp_path / "out.tif").text(0x010E) == ""
    plane = np.zeros((32, 48), np.float32)
    write_depth(tmp_path / "depth.tif", plane, plane)
    assert read_exif(tmp_path / "depth.tif").text(0x010E) == ""


@pytest.mark.parametrize(
    ("profile", "is_doubted"), [(grey_profile(2.2), False), (b"no profile at all" * 20, True)]
)
def test_only_a_profile_for_rgb_is_put_on_a_result(
    tmp_path: Path, profile: bytes, is_doubted: bool
) -> None:
    metadata = result_metadata(frame(tmp_path / "a.jpg", profile), 2)
    assert metadata.icc is not None and metadata.icc[16:20] == b"RGB "
    description = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(metadata.icc)))
    assert "sRGB" in description
    assert bool(metadata.left_out) == is_doubted


def test_metadata_too_long_for_a_jpeg_is_named_and_left_out(tmp_path: Path) -> None:
    long = XMP.replace(b"drawer 12", b"x" * 70_000)
    said = write_picture(tmp_path / "o.jpg", PIXELS, None, Metadata(xmp=long))
    assert said == (f"XMP of {len(long) + 29} bytes left out: too large for a JPEG",)
    assert write_picture(tmp_path / "o.tif", PIXELS, None, Metadata(xmp=long)) == ()
    with Image.open(tmp_path / "o.jpg") as picture:
        picture.load()


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("nowhere/out.tif", (48, 32), "nowhere does not exist"),
        ("out.webp", (48, 32), r"written as \.tif, \.png or \.jpg"),
        ("out.jpg", (65_501, 32), "at most 65500 px"),
        ("folder.tif", (48, 32), "a folder with that name"),
        ("out.tif", (400_000, 400_000), "MB left"),
    ],
)
def test_where_a_result_goes_is_checked(
    tmp_path: Path, name: str, size: tuple[int, int], message: str
) -> None:
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(StackError, match=message):
        check_output(tmp_path / name, *size)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.tif"]


def test_a_read_only_disk_is_said_before_the_first_frame_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(2):
        Image.new("RGB", (48, 32)).save(tmp_path / f"{k}.png")

    def refused(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "write_bytes", refused)
    monkeypatch.setattr("macrorail.batch.frames.read_picture", lambda *_: pytest.fail("read"))
    assert main(["stack", str(tmp_path), "-o", str(tmp_path / "out.tif")]) == 6
    assert "out.tif cannot be written: Read-only file system" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".tif", ".jpg", ".png"])
def test_a_disk_that_fills_up_leaves_nothing_behind(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"out{suffix}").write_bytes(b"the older result")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("macrorail.stacking.writing.os.fsync", full)
    with pytest.raises(StackError, match="No space left"):
        write_picture(tmp_path / f"out{suffix}", PIXELS)
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]
    assert (tmp_path / f"out{suffix}").read_bytes() == b"the older result"


def test_tags_that_cannot_be_added_do_not_cost_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("macrorail.stacking.writing.tifftools.write_tiff", full)
    metadata = result_metadata(frame(tmp_path / "a.jpg"), 2)
    said = write_picture(tmp_path / "out.tif", PIXELS, None, metadata)
    assert "No space left" in said[0]
    assert np.array_equal(tifffile.imread(tmp_path / "out.tif"), PIXELS[:, :, ::-1])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "out.tif"]


def test_a_picture_too_wide_for_a_jpeg_keeps_its_tiff(tmp_path: Path) -> None:
    image = np.zeros((16, 65_600, 3), np.uint16)
    plane = np.zeros((16, 65_600), np.float32)
    fused: Any = SimpleNamespace(image=image, depth=plane, confidence=plane)
    said = write_stack(fused, tmp_path, ("fused.tif", "fused.jpg", "depth.tif"), 2.0, None, 3)
    assert said == ("fused.jpg is reduced to 65500 x 15 px, the most that JPEG allows",)
    assert tifffile.imread(tmp_path / "fused.tif").shape == (16, 65_600, 3)
    with Image.open(tmp_path / "fused.jpg") as picture:
        assert picture.size == (65_500, 15)


def test_a_run_is_fused_whatever_the_exif_of_its_frames(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    worker = StreamWorker()
    for k, pixels in enumerate(made_stack.make_stack(3, 96, 64).frames):
        path = folder / f"{k + 1:04d}.jpg"
        exif = Image.Exif()
        exif[0x0110] = "Model 7"
        exif.get_ifd(0x8769)[0x829D] = IFDRational(56, 10)
        picture = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        picture.save(path, exif=exif, quality=95)
        data = bytearray(path.read_bytes())
        at = data.index(b"Exif\0\0") + 6
        # The Exif directory is said to be where the first one is: it never ends.
        tag = b"\x87\x69" if data[at : at + 2] == b"MM" else b"\x69\x87"
        entry = data.index(tag, at)
        data[entry + 8 : entry + 12] = data[at + 4 : at + 8]
        path.write_bytes(data)
        worker.add(k + 1, str(path), 100.0 * k, None)
    worker.take_held()
    fused = worker.finish(str(tmp_path), 2.0)
    assert set(fused["files"]) == {"fused.tif", "fused.jpg", "depth.tif", "depth-confidence.png"}
    assert read_exif(tmp_path / "fused.tif").text(0x0110) == "Model 7"
