"""Every export, opened by a reader that is not ours.

Readers that are programs are looked for on the path; where one is missing its test says so and is
left out. `make test` installs exiftool and ImageMagick.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import ome_types
import pytest
import tifffile
import trimesh
from PIL import Image, ImageCms

from macrorail.cli import main
from macrorail.results.export import ExportKind, export, formats, jpeg
from macrorail.results.export.psd import slice_mask
from macrorail.results.export.source import ExportSource
from macrorail.results.export.stereo import shifted
from macrorail.run_folder.record import Record, read_record
from tests.made_run import STEP_UM, UM_PER_PX, make_run

PROTOCOL = """
specimen:
  id: made
  occurrence_id: urn:catalog:NHM:Coleoptera:1234
  catalog_number: NHM-1234
  institution: NHM
  scientific_name: Chrysolina fastuosa
  part: head
  orientation: dorsal
operator: Åsa Öst
rights: CC BY 4.0
range: {near: 10 mm, far: 10.2 mm}
step: 50 um
settle: 0 s
exposure: {aperture: f/5.6, shutter: 1/60 s}
"""
NAME = "20261122-200000-made"


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return read_record(make_run(tmp_path_factory.mktemp("runs"), protocol=PROTOCOL))


@pytest.fixture(scope="module")
def out(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    written = export(record, list(ExportKind), folder)
    assert all(path.exists() for path in written)
    export(record, [ExportKind.JPEG], folder, scale_bar=True)
    return folder


@pytest.fixture(scope="module")
def fused(record: Record) -> Any:
    """The fused picture, RGB, as another library reads it."""
    pixels = cv2.imread(str(record.folder / "fused.tif"), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels[:, :, ::-1]


def _run(program: str, *arguments: str | Path) -> str:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed: apt-get install {_PACKAGES[program]}")
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


_PACKAGES = {
    "exiftool": "libimage-exiftool-perl",
    "convert": "imagemagick",
    "assimp": "assimp-utils",
    "exempi": "exempi",
}


def _exif(path: Path) -> dict[str, Any]:
    return dict(json.loads(_run("exiftool", "-json", "-n", "-G1", path))[0])


# ------------------------------------------------------------------------------------------ TIFF


@pytest.mark.slow
def test_the_tiff_has_the_runs_pixels_and_the_frames_camera(out: Path, fused: Any) -> None:
    path = out / f"{NAME}.tif"
    again = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert again is not None and again.dtype == np.uint16
    assert np.array_equal(again[:, :, ::-1], fused)
    seen = _exif(path)
    assert seen["IFD0:Make"] == "NIKON CORPORATION"
    assert seen["ExifIFD:LensModel"] == "105mm f/2.8"
    assert seen["ExifIFD:ExposureTime"] == pytest.approx(1 / 60, rel=1e-3)
    assert seen["ExifIFD:CompositeImage"] == 2
    assert seen["ExifIFD:CompositeImageCount"] == "5 5"
    assert seen["IFD0:XResolution"] == pytest.approx(10_000 / UM_PER_PX)
    assert seen["IFD0:ResolutionUnit"] == 3
    assert seen["IFD0:Artist"] == "Åsa Öst" and seen["IFD0:Copyright"] == "CC BY 4.0"
    assert seen["ICC_Profile:ProfileDescription"].startswith("sRGB")
    assert not any("MakerNote" in tag for tag in seen), "maker notes are never faked"


@pytest.mark.parametrize("ending", [".tif", ".jpg", "-left.jpg", ".psd"])
def test_exiftool_finds_nothing_wrong(out: Path, ending: str) -> None:
    report = _run("exiftool", "-validate", "-warning", "-a", out / f"{NAME}{ending}")
    assert "OK" in report, report


def test_imagemagick_reads_16_bits(out: Path) -> None:
    seen = _run("convert", "-quiet", out / f"{NAME}.tif", "-format", "%wx%h %z %r", "info:")
    assert seen.startswith("360x240 16 DirectClass sRGB"), seen


def test_depth_is_in_micrometres(out: Path, record: Record) -> None:
    with Image.open(out / f"{NAME}-depth.tif") as picture:
        depth = np.asarray(picture)
    assert depth.dtype == np.float32 and depth.shape == (240, 360)
    places = [one["achieved_um"] for one in record.slices]
    assert places[0] - STEP_UM <= depth.min() < depth.max() <= places[-1] + STEP_UM
    left, right = depth[:, 60:90].mean(), depth[:, -90:-60].mean()
    assert right - left > 2 * STEP_UM, "the made specimen rises from left to right"


def test_aligned_frames_lie_on_the_picture(out: Path, fused: Any) -> None:
    folder = out / f"{NAME}-frames"
    rows = list(csv.DictReader((folder / "positions.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [f"{n:04d}.tif" for n in range(1, 6)]
    assert float(rows[1]["position_um"]) == 10_050.125
    truth = cv2.cvtColor((fused // 257).astype(np.uint8), cv2.COLOR_RGB2GRAY)
    band = slice(60, 120)  # sharp in the second frame
    for row, at in (("0002.tif", band), ("0004.tif", slice(230, 290))):
        with Image.open(folder / row) as picture:
            frame = np.asarray(picture.convert("L"))
        assert picture.info["dpi"][0] == pytest.approx(25_400 / UM_PER_PX, rel=1e-3)
        here, there = frame[20:-20, at].astype(float), truth[20:-20, at].astype(float)
        assert np.corrcoef(here.ravel(), there.ravel())[0, 1] > 0.97


# ------------------------------------------------------------------------------------------ JPEG


def test_the_jpeg_carries_its_metadata(out: Path, fused: Any) -> None:
    with Image.open(out / f"{NAME}.jpg") as picture:
        pixels = np.asarray(picture).astype(float)
        assert picture.info["dpi"][0] == pytest.approx(25_400 / UM_PER_PX, rel=1e-3)
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert picture.getexif().get_ifd(0x8769)[0xA460] == 2
    assert np.abs(pixels - fused / 257).mean() < 2


def test_a_resolution_too_fine_for_the_jfif_header_is_in_the_exif(
    tmp_path: Path, record: Record
) -> None:
    source = ExportSource(record)
    source.um_per_px = 0.2
    jpeg.write_jpeg(source, tmp_path / "fine.jpg")
    seen = _exif(tmp_path / "fine.jpg")
    assert seen["IFD0:XResolution"] == pytest.approx(50_000)
    assert seen["IFD0:ResolutionUnit"] == 3


def test_a_scale_bar_has_the_length_it_says(out: Path) -> None:
    with Image.open(out / f"{NAME}.jpg") as plain, Image.open(out / f"{NAME}-scale.jpg") as marked:
        before, after = (np.asarray(one.convert("L")).astype(int) for one in (plain, marked))
    changed = np.abs(after - before) > 40
    assert changed.any() and not changed[: 240 // 2].any()
    white = after[-12:, :] > 235
    longest = max(int(row.sum()) for row in white)
    # A fifth of 360 px are 180 um; the round length below it is 100 um: 40 px.
    assert longest == pytest.approx(100 / UM_PER_PX, abs=2)


# -------------------------------------------------------------------------------------- OME-TIFF


def test_ome_tiff_is_valid_and_knows_its_sizes(out: Path, fused: Any) -> None:
    path = out / f"{NAME}.ome.tif"
    with tifffile.TiffFile(path) as file:
        assert file.ome_metadata is not None
        # Parsed and checked against the OME schema by the OME project's own model.
        ome = ome_types.from_xml(file.ome_metadata)
    names = [image.name for image in ome.images]
    assert names == ["fused", "depth", "frames"]
    frames = ome.images[2].pixels
    assert frames.size_z == 5 and frames.physical_size_x == UM_PER_PX
    assert frames.physical_size_z == pytest.approx(STEP_UM)
    assert frames.planes[1].position_z == 10_050.125
    size = _run("convert", "-quiet", f"{path}[0]", "-format", "%wx%h %z", "info:")
    assert size.startswith("360x240 16")
    with Image.open(path) as pages:
        assert pages.n_frames == 7, "picture, depth and five planes"


# ------------------------------------------------------------------------------------------- PSD


def test_the_psd_shows_the_picture_over_its_slices(out: Path, fused: Any) -> None:
    with Image.open(out / f"{NAME}.psd") as picture:
        merged = np.asarray(picture).astype(float)
    assert np.abs(merged - fused / 257).max() <= 1
    names = _exif(out / f"{NAME}.psd")["Photoshop:LayerUnicodeNames"]
    assert names[-1] == "fused" and names[0] == "0005  10.2001 mm" and len(names) == 6


def test_masks_put_together_a_picture_like_the_fused_one(out: Path, fused: Any) -> None:
    """ImageMagick composes the layers without the topmost: what a retoucher starts from."""
    composed = out / "composed.png"
    path = out / f"{NAME}.psd"
    _run("convert", "-quiet", f"{path}[1-5]", "-background", "black", "-flatten", composed)
    with Image.open(composed) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(float)
    composed.unlink()
    inside = (slice(20, -20), slice(20, -20))
    error = float(np.sqrt(np.mean((pixels - fused / 257)[inside] ** 2)))
    one_frame = cv2.imread(str(out / f"{NAME}-frames" / "0003.tif"))
    assert one_frame is not None
    alone = float(np.sqrt(np.mean((one_frame[:, :, ::-1] - fused / 257)[inside] ** 2)))
    assert error < 0.5 * alone


def test_masks_share_every_pixel_out() -> None:
    depth = np.linspace(-10, 130, 57, dtype=np.float32)[np.newaxis]
    places = [0.0, 50.0, 80.0, 120.0]
    seen = np.zeros(depth.shape)
    for place in reversed(range(4)):
        mask = slice_mask(depth, places, place) / 255
        seen = seen * (1 - mask) + mask * places[place]
    assert np.allclose(seen, np.clip(depth, 0, 120), atol=0.3), "a linear mix of the neighbours"
    third = slice_mask(depth, places, 2)
    assert (third[(depth <= 50) | (depth >= 120)] == 0).all() and third.max() == 255


def test_large_stacks_become_a_psb(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    from macrorail.results.export import psd

    source = ExportSource(record)
    assert psd.psd_suffix(source) == ".psd"
    monkeypatch.setattr(psd, "_LARGEST_PSD_BYTES", 1_000_000)
    assert psd.psd_suffix(source) == ".psb"


def test_a_psb_opens_too(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("macrorail.results.export.psd._LARGEST_PSD_BYTES", 1_000_000)
    (path, *_) = export(record, [ExportKind.PSD], tmp_path)
    assert path.suffix == ".psb"
    seen = _run("convert", "-quiet", path, "-format", "%wx%h;", "info:")
    assert seen == "360x240;" * 7, "the merged picture and six layers"


# ------------------------------------------------------------------------------------- from depth


def test_the_surface_is_as_large_as_the_specimen(out: Path, record: Record) -> None:
    path = out / f"{NAME}.glb"
    report = _run("assimp", "info", path)
    corners = {
        line.split()[0]: [float(v) for v in line.split("(")[1].rstrip(")").split()]
        for line in report.splitlines()
        if line.startswith(("Minimum point", "Maximum point"))
    }
    size_um = [1e6 * (b - a) for a, b in zip(corners["Minimum"], corners["Maximum"], strict=True)]
    width, height = record.manifest["fused"]["valid_rect"][2:]
    assert size_um[0] == pytest.approx(width * UM_PER_PX, rel=0.01)
    assert size_um[1] == pytest.approx(height * UM_PER_PX, rel=0.01)
    assert "Textures (embed.):  1" in report
    depth = ExportSource(record).depth()
    assert size_um[2] == pytest.approx(float(depth.max() - depth.min()), rel=0.15)


def test_what_is_near_stands_up_from_the_surface(out: Path) -> None:
    x, _, z = trimesh.load_mesh(out / f"{NAME}.glb").vertices.T
    left, right = x < np.percentile(x, 20), x > np.percentile(x, 80)
    assert z[left].mean() - z[right].mean() > 2e-6 * STEP_UM, "near on the left, in metres"


def test_near_parts_move_to_the_right_for_the_left_eye() -> None:
    picture = np.zeros((4, 100, 3), np.uint8)
    picture[:, 48:52] = 255
    nearness = np.zeros((4, 100), np.float32)
    nearness[:, 48:52] = 1
    left, right = (shifted(picture, nearness, side * 20.0) for side in (0.5, -0.5))
    middle = [float(np.flatnonzero(view[0, :, 0] == 255).mean()) for view in (left, right)]
    assert middle[0] - middle[1] == pytest.approx(10, abs=1)
    flat = np.full((4, 100), 0.5, np.float32)
    assert np.array_equal(shifted(picture, flat, 20.0), picture), "halfway nothing moves"


def test_each_eye_gets_its_own_picture(out: Path) -> None:
    """The made specimen is near on the left: there the left eye sees things farther right."""
    eyes = [cv2.imread(str(out / f"{NAME}-{side}.jpg"), 0) for side in ("left", "right")]
    left, right = (np.asarray(eye, np.float32) for eye in eyes)
    for part, sign in ((slice(20, 120), 1), (slice(-120, -20), -1)):
        (shift_px, _), _ = cv2.phaseCorrelate(right[:, part].copy(), left[:, part].copy())
        assert sign * shift_px > 1


def test_nothing_is_left_empty_when_the_view_moves() -> None:
    picture = np.full((3, 80, 3), 200, np.uint8)
    rng = np.random.default_rng(3)
    nearness = rng.random((3, 80)).astype(np.float32)
    for shift in (-25.0, 0.0, 25.0):
        assert (shifted(picture, nearness, shift) == 200).all()


def test_the_animation_swings(out: Path) -> None:
    for ending in ("-rocking.gif", "-rocking.webp"):
        with Image.open(out / f"{NAME}{ending}") as picture:
            assert picture.n_frames == 24 and picture.info["loop"] == 0
            first = np.asarray(picture.convert("L")).astype(int)
            picture.seek(6)
            side = np.asarray(picture.convert("L")).astype(int)
        assert np.abs(side - first).mean() > 2


# --------------------------------------------------------------------------------------- metadata


def test_the_sidecars_say_what_is_seen(out: Path, record: Record) -> None:
    about = json.loads((out / f"{NAME}.json").read_text())
    assert about["dwc:scientificName"] == "Chrysolina fastuosa"
    assert about["ac:associatedSpecimenReference"] == "urn:catalog:NHM:Coleoptera:1234"
    assert about["ac:subjectOrientation"] == "dorsal"
    assert about["macrorail:umPerPx"] == UM_PER_PX
    assert "D850" in about["ac:captureDevice"] and "test rail" in about["ac:captureDevice"]
    assert about["ac:hashValue"] == record.manifest["fused"]["sha256"]
    hashes = [frame["hashValue"] for frame in about["ac:derivedFrom"]]
    assert hashes == [one["sha256"] for one in record.slices]
    seen = _exif(out / f"{NAME}.xmp")
    assert seen["XMP-ac:SubjectPart"] == "head"
    assert seen["XMP-dc:Creator"] == "Åsa Öst"


def test_adobes_toolkit_reads_the_metadata_inside(out: Path) -> None:
    for ending in (".tif", ".jpg", ".psd"):
        seen = _run("exempi", "-x", out / f"{NAME}{ending}")
        assert "Chrysolina fastuosa" in seen and "urn:catalog:NHM" in seen


def test_the_frames_hashes_read_by_sha256sum(out: Path, record: Record, tmp_path: Path) -> None:
    lines = _exif(out / f"{NAME}.tif")["XMP-ac:DerivedFrom"]
    (tmp_path / "sums").write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", tmp_path / "sums"],
        cwd=record.folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and done.stdout.count(": OK") == 5, done.stdout + done.stderr


def test_a_thousand_frames_do_not_burst_a_jpeg(out: Path, record: Record, tmp_path: Path) -> None:
    source = ExportSource(record)
    source.description.frames.extend(source.description.frames * 300)
    jpeg.write_jpeg(source, tmp_path / "many.jpg")
    assert _exif(tmp_path / "many.jpg")["XMP-macrorail:FrameCount"] == 1505


def test_the_frames_own_colours_are_kept(tmp_path: Path) -> None:
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(64)
    record = read_record(make_run(tmp_path, count=2, icc=other))
    assert ExportSource(record).icc == other


# ---------------------------------------------------------------------------------------- the verb


def test_the_verb_prints_what_it_wrote(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(record.folder), "--as", "depth", "--out", str(tmp_path)]
    assert main(arguments) == 0
    printed = [Path(line) for line in capsys.readouterr().out.split()]
    assert [path.name for path in printed] == [
        f"{NAME}-depth.tif",
        f"{NAME}.xmp",
        f"{NAME}.json",
    ]
    assert sorted(tmp_path.iterdir()) == sorted(printed), "nothing else is left"
    assert main([*arguments[:3], "tiff", *arguments[4:]]) == 0
    about = json.loads((tmp_path / f"{NAME}.json").read_text())
    assert [one["file"] for one in about["macrorail:exports"]] == [
        f"{NAME}-depth.tif",
        f"{NAME}.tif",
    ]


def test_an_unknown_kind_is_refused(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(record.folder), "--as", "tif"]) == 2
    assert "must be one of tiff, jpeg" in capsys.readouterr().err


def test_a_run_without_a_picture_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_run(tmp_path, count=2, finished=False)
    assert main(["export", str(folder), "--as", "tiff"]) == 2
    assert "macrorail resume" in capsys.readouterr().err


def test_a_full_disk_is_noticed_beforehand(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(formats.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(formats.PlanError, match="1 MB free, but these exports need about"):
        export(record, [ExportKind.FRAMES, ExportKind.PSD], tmp_path)
    assert list(tmp_path.iterdir()) == []
