"""What a stack's user relies on: geometry, sharpness, depth, and the same pixels every time."""

from __future__ import annotations

import resource
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from macrorail.errors import AlignError, StackError
from macrorail.stacking.blend import Blender
from macrorail.stacking.images import to_8_bit
from macrorail.stacking.smooth import Method, mix
from macrorail.stacking.stacker import Fused, Stacker
from macrorail.stacking.store import Store
from tests.made_stack import MadeStack, make_stack
from tests.score import psnr_db


def fuse(made: MadeStack, order: list[int] | None = None, step_um: float | None = None) -> Fused:
    stacker = Stacker()
    for k in order or range(len(made.frames)):
        stacker.add(made.frames[k], k, None if step_um is None else k * step_um)
    return stacker.finish()


def corner_error_px(
    found: npt.NDArray[np.float64], true: npt.NDArray[np.float64], width: int, height: int
) -> float:
    corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)])
    return float(np.linalg.norm(corners @ (found - true).T, axis=1).max())


@pytest.fixture(scope="module")
def made() -> MadeStack:
    return make_stack()


@pytest.fixture(scope="module")
def fused(made: MadeStack) -> Fused:
    return fuse(made, step_um=50)


def test_geometry_is_recovered(made: MadeStack, fused: Fused) -> None:
    height, width = made.truth.shape[:2]
    assert fused.image.shape == made.truth.shape
    for report, true in zip(fused.reports, made.transforms, strict=True):
        assert corner_error_px(report.transform, true, width, height) < 0.8


def test_fused_beats_the_best_single_frame_clearly(made: MadeStack, fused: Fused) -> None:
    best_frame = max(psnr_db(frame, made.truth) for frame in made.frames)
    assert psnr_db(to_8_bit(fused.image), made.truth) > best_frame + 6


def test_depth_is_known_between_slices_in_micrometres(made: MadeStack, fused: Fused) -> None:
    inside = (slice(20, -20), slice(60, -60))
    error_um = np.abs(fused.depth - made.depth * 50)[inside]
    assert np.median(error_um) < 15
    assert np.all((fused.confidence >= 0) & (fused.confidence <= 1))


def test_depth_is_the_slice_index_when_positions_are_unknown(made: MadeStack) -> None:
    depth = fuse(made).depth[20:-20, 60:-60]
    assert np.median(np.abs(depth - made.depth[20:-20, 60:-60])) < 0.3


def test_without_its_depth_a_stack_gives_the_same_picture(made: MadeStack, fused: Fused) -> None:
    stacker = Stacker(depth=False)
    for frame in made.frames:
        stacker.add(frame)
    without = stacker.finish()
    assert np.array_equal(without.image, fused.image)
    with pytest.raises(StackError, match="without its depth"):
        _ = without.depth


def test_methods_are_mixed_a_few_rows_at_a_time_as_if_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(4)
    smooth, detailed = rng.integers(0, 65536, (2, 700, 90, 3), np.uint16)
    rough = cv2.GaussianBlur(rng.normal(size=(700, 90)).astype(np.float32), (0, 0), 12)
    depth = np.asarray(rough / np.abs(rough).max() * 6, np.float32)

    def mixed(rows: int) -> npt.NDArray[np.uint16]:
        monkeypatch.setattr("macrorail.stacking.smooth._ROWS", rows)
        result = detailed.copy()
        mix(smooth, result, depth, 1.0, Store())
        return result

    at_once = mixed(1000)
    assert np.array_equal(mixed(128), at_once)
    assert (at_once == smooth).any()
    assert (at_once == detailed).any()


def test_walking_out_from_the_middle_gives_the_middle_frames_geometry(made: MadeStack) -> None:
    fused = fuse(made, [3, 4, 5, 2, 1, 0], step_um=50)
    middle = made.transforms[3]
    back = cv2.invertAffineTransform(middle)
    truth = cv2.warpAffine(
        made.truth, back, (360, 240), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    assert np.array_equal(fused.reports[0].transform, np.eye(2, 3))
    assert psnr_db(to_8_bit(fused.image), truth) > 30
    true_um = cv2.warpAffine(made.depth, back, (360, 240)) * 50
    assert np.median(np.abs(fused.depth - true_um)[20:-20, 60:-60]) < 15


def test_a_slice_inserted_late_takes_its_place_in_depth(made: MadeStack) -> None:
    late = fuse(made, [0, 1, 2, 4, 5, 3], step_um=50)
    error_um = np.abs(late.depth - made.depth * 50)[20:-20, 60:-60]
    assert np.median(error_um) < 20


def test_the_same_frames_in_the_same_order_give_the_same_pixels(
    made: MadeStack, fused: Fused
) -> None:
    again = fuse(made, step_um=50)
    assert np.array_equal(again.image, fused.image)
    assert np.array_equal(again.depth, fused.depth)


def test_one_frame_comes_back_as_it_is(made: MadeStack) -> None:
    stacker = Stacker()
    stacker.add(made.frames[0])
    fused = stacker.finish()
    assert np.array_equal(to_8_bit(fused.image), made.frames[0])
    assert fused.valid_rect == (0, 0, 360, 240)


@pytest.mark.slow
def test_sixteen_bits_stay_sixteen_bits() -> None:
    made = make_stack(count=3, bits=16, noise=0)
    one = Stacker()
    one.add(made.frames[0])
    difference = np.abs(one.finish().image.astype(int) - made.frames[0].astype(int))
    assert difference.max() <= 1
    assert len(np.unique(fuse(made).image)) > 1000


def test_frame_that_does_not_belong_is_refused_by_name_and_not_blended(made: MadeStack) -> None:
    stacker, stranger = Stacker(), make_stack(count=1, seed=99, width=360).frames[0]
    stacker.add(made.frames[0], 0)
    with pytest.raises(AlignError, match="frame 1 cannot be aligned"):
        stacker.add(stranger, 1)
    for k in range(1, len(made.frames)):
        stacker.add(made.frames[k], k)
    assert np.array_equal(stacker.finish().image, fuse(made).image)


def test_uniform_frame_is_refused(made: MadeStack) -> None:
    stacker = Stacker()
    stacker.add(made.frames[0])
    with pytest.raises(AlignError, match="frame 1"):
        stacker.add(np.full((240, 360, 3), 90, np.uint8))


def test_a_shifted_frame_is_still_aligned(made: MadeStack) -> None:
    bump = np.array([[1, 0, 17.0], [0, 1, -9.0]])
    moved = cv2.warpAffine(made.frames[1], bump, (360, 240), borderMode=cv2.BORDER_REFLECT)
    stacker = Stacker()
    stacker.add(made.frames[0])
    found = stacker.add(moved).transform
    true = (
        np.vstack([made.transforms[1], [0, 0, 1]]) @ np.linalg.inv(np.vstack([bump, [0, 0, 1]]))
    )[:2]
    assert corner_error_px(found, true, 360, 240) < 1


def test_pixels_that_a_frame_does_not_reach_come_from_the_others() -> None:
    made = make_stack(count=2, moving=False)
    shifted = np.roll(made.frames[1], 30, axis=1)
    shifted[:, :30] = 255
    stacker = Stacker()
    stacker.add(made.frames[0])
    stacker.add(shifted)
    fused = stacker.finish()
    x, _, width, _ = fused.valid_rect
    assert x == 0
    assert abs(width - 330) <= 1
    border = to_8_bit(fused.image)[:, 335:].astype(float)
    assert np.abs(border - made.frames[0][:, 335:]).max() < 12


def test_nothing_in_focus_gives_less_noise_than_a_frame() -> None:
    rng = np.random.default_rng(5)
    made = make_stack(count=8, noise=0, moving=False)
    frames = []
    for frame in made.frames:
        picture = frame.astype(float)
        picture[:, 180:] = 20  # dark, and nothing there
        frames.append(np.clip(picture + rng.normal(0, 1.5, picture.shape), 0, 255))
    stacker = Stacker()
    for pixels in frames:
        stacker.add(np.rint(pixels).astype(np.uint8))
    dark = to_8_bit(stacker.finish().image)[40:-40, 240:-40].astype(float)
    assert dark.std() < frames[0][40:-40, 240:-40].std()


def test_slices_a_little_less_sharp_hardly_dilute_the_sharpest() -> None:
    texture = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 114, (120, 160)), (0, 0), 0.8)
    grey = np.clip(120 + texture, 0, 255).round().astype(np.uint8)
    sharp = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    blender = Blender(120, 160)
    for frame in (sharp, *[cv2.GaussianBlur(sharp, (0, 0), 0.6)] * 8):
        blender.add(frame, np.eye(2, 3))
    inside = (slice(20, -20), slice(20, -20))
    fused = to_8_bit(blender.finish())[inside]
    assert fused.std() > 0.98 * sharp[inside].std()


def hairs_over_texture(count: int) -> tuple[list[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]:
    """Frames focused from pale hairs back to the ground behind them, and the truth."""
    rng = np.random.default_rng(1)
    texture = cv2.GaussianBlur(rng.standard_normal((320, 480)), (0, 0), 1.2)
    ground = (np.clip(110 + 150 * texture, 0, 255) / 255) ** 2.2
    hairs = np.zeros((320, 480))
    for _ in range(14):
        root, angle = rng.uniform(0, (480, 320)), rng.uniform(0, 2 * np.pi)
        tip = root + 90 * np.array([np.cos(angle), np.sin(angle)])
        cv2.line(hairs, root.astype(int).tolist(), tip.astype(int).tolist(), 1.0, 4, cv2.LINE_AA)

    def seen(from_hairs: int, from_ground: int) -> npt.NDArray[np.uint8]:
        cover, behind = (
            cv2.GaussianBlur(one, (0, 0), 3.0 * far) if far else one
            for one, far in ((hairs, from_hairs), (ground, from_ground))
        )
        display = 255 * (behind * (1 - cover) + 0.75 * cover) ** (1 / 2.2)
        grainy = display + (from_hairs + from_ground > 0) * rng.normal(0, 1, display.shape)
        grey = np.clip(np.rint(grainy), 0, 255).astype(np.uint8)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)

    return [seen(k, count - 1 - k) for k in range(count)], seen(0, 0)


def test_around_hairs_the_ground_is_as_bright_as_elsewhere() -> None:
    frames, truth = hairs_over_texture(8)
    blender = Blender(320, 480)
    for frame in frames:
        blender.add(frame, np.eye(2, 3))
    assert psnr_db(to_8_bit(blender.finish()), truth) > 28.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:-2], "one size"),
        (lambda p: p.astype(np.uint16) * 257, "one type"),
    ],
)
def test_mixed_frames_are_refused(made: MadeStack, change: object, message: str) -> None:
    assert callable(change)
    stacker = Stacker()
    stacker.add(made.frames[0])
    with pytest.raises(StackError, match=message):
        stacker.add(change(made.frames[1]))


def test_a_slice_comes_once_and_positions_for_all_or_none(made: MadeStack) -> None:
    stacker = Stacker()
    stacker.add(made.frames[0], 0, 10.0)
    with pytest.raises(StackError, match="already"):
        stacker.add(made.frames[1], 0, 20.0)
    with pytest.raises(StackError, match="all frames"):
        stacker.add(made.frames[1], 1)


def test_a_stack_without_frames_is_refused() -> None:
    with pytest.raises(StackError, match="no frame"):
        Stacker().finish()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    made = make_stack(count=4, width=900, height=600)
    stacker = Stacker()

    def resident_kb() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for k in range(12):
        stacker.add(made.frames[k % 4], k)
    before = resident_kb()
    for k in range(12, 48):
        stacker.add(made.frames[k % 4], k)
    # One more frame kept anywhere would be 1.6 MB each, 58 MB together.
    assert resident_kb() - before < 15_000


def test_dark_frames_without_detail_follow_the_course_of_those_before(made: MadeStack) -> None:
    height, width = made.truth.shape[:2]
    rng = np.random.default_rng(3)
    stacker = Stacker()
    for k, frame in enumerate(made.frames[:4]):
        stacker.add(frame, k)
    steady = [
        np.linalg.det(stacker.add(_dimmed(frame, rng), k).transform[:, :2]) ** 0.5
        for k, frame in enumerate(made.frames[4:], 4)
    ]
    for k, scale in enumerate(steady, 4):
        assert scale == pytest.approx(1.004**-k, abs=0.004)
    assert all(report.expected for report in stacker.reports[4:])
    assert not any(report.expected for report in stacker.reports[1:4])
    assert (height, width) == stacker.finish().image.shape[:2]


def _dimmed(frame: npt.NDArray[np.generic], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Large forms only, and noise."""
    forms = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), 25)
    return np.clip(forms + rng.normal(0, 1, forms.shape), 0, 255).astype(np.uint8)


def test_fast_beats_the_best_frame_too(made: MadeStack, fused: Fused) -> None:
    stacker = Stacker("fast")
    for k, frame in enumerate(made.frames):
        stacker.add(frame, k, k * 50.0)
    shown = stacker.preview(100)
    fast = stacker.finish()
    best_frame = max(psnr_db(frame, made.truth) for frame in made.frames)
    assert psnr_db(fast.image, made.truth) > best_frame + 2
    assert fast.valid_rect == fused.valid_rect
    # The preview is the same picture, smaller: colours in their places.
    small = cv2.resize(fast.image, shown.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(float) - shown).mean() < 0.02 * 65535


def test_fast_gives_colours_back_as_they_are(made: MadeStack) -> None:
    plain = np.empty((64, 97, 3), np.uint8)
    plain[:] = 40, 90, 200
    stacker = Stacker("fast")
    stacker.add(plain)
    assert np.abs(to_8_bit(stacker.finish().image).astype(int) - plain).max() <= 1


@pytest.mark.parametrize("method", [Method.DEPTH_MAP, Method.AUTO])
def test_other_methods_give_the_picture_too(made: MadeStack, fused: Fused, method: Method) -> None:
    stacker = Stacker(method=method)
    for k, frame in enumerate(made.frames):
        stacker.add(frame, k, k * 50.0)
    other = stacker.finish()
    best_frame = max(psnr_db(frame, made.truth) for frame in made.frames)
    assert psnr_db(to_8_bit(other.image), made.truth) > best_frame + 5
    assert not np.array_equal(other.image, fused.image)
    assert np.array_equal(other.depth, fused.depth)


@pytest.mark.parametrize("method", list(Method))
def test_one_frame_is_itself_by_any_method(made: MadeStack, method: Method) -> None:
    stacker = Stacker(method=method)
    stacker.add(made.frames[0])
    assert np.abs(to_8_bit(stacker.finish().image).astype(int) - made.frames[0]).max() <= 1
