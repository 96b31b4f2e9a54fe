"""A chain is checked before its first frame, opens and closes all of its stages, and changes nothing but by edits."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.geometry import Square
from facerecon.errors import FaceReconError
from facerecon.inference.chain import Chain, composite, so_far
from facerecon.inference.frames import HIDDEN, Edit, Frame
from facerecon.inference.stage import Runtime, StageRecord


class Counting:
    """A stage that notes what is done with it."""

    def __init__(self, needs: set[str], gives: set[str], fails: bool = False) -> None:
        self.needs, self.gives, self.fails = frozenset(needs), frozenset(gives), fails
        self.done: list[object] = []

    def open(self, runtime: Runtime) -> None:
        """Note it, or fail."""
        if self.fails:
            raise FaceReconError("no such file")
        self.done.append("open")

    def close(self) -> None:
        """Note it."""
        self.done.append("close")

    def run(self, frames: list[Frame]) -> list[Frame]:
        """Note how many."""
        self.done.append(len(frames))
        return [frame.remarked("seen") for frame in frames]

    def describe(self) -> StageRecord:
        """Nothing of interest."""
        return StageRecord(name="counting", version=1, parameters={})


def picture(seed: int = 0) -> np.ndarray:
    """A picture of 50 x 40 random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (40, 50, 3), np.uint8)


def edit(alpha: np.ndarray, top: int = 5, left: int = 8) -> Edit:
    """White pixels of confidence 0.25 for a square of 24 px at (8, 5)."""
    square = Square(np.array([8.0, 5.0]), np.array([24.0, 0.0]))
    white, sure = np.full((16, 16, 3), 255, np.uint8), np.full((16, 16), 0.25, np.float32)
    return Edit("test", 1, square, white, sure, np.zeros((16, 16), np.uint8), top, left, alpha.astype(np.float32))


def test_a_stage_whose_needs_nobody_gives_is_refused_at_once() -> None:
    first, second = Counting(set(), {"face.box"}), Counting({"face.box", "face.depth"}, set())
    with pytest.raises(FaceReconError, match=r"needs face\.depth"):
        Chain([first, second], Runtime())
    with pytest.raises(FaceReconError, match=r"needs face\.box"):
        Chain([Counting({"face.box"}, set()), first], Runtime())
    Chain([Counting({HIDDEN}, set())], Runtime(), given=frozenset({HIDDEN}))
    assert first.done == second.done == []


def test_frames_come_out_in_their_order_some_at_a_time() -> None:
    stage = Counting(set(), set())
    with Chain([stage], Runtime()) as chain:
        outcomes = list(chain.run((Frame(picture(), number) for number in range(5)), at_once=2))
    assert [outcome.frame.number for outcome in outcomes] == [0, 1, 2, 3, 4]
    assert outcomes[0].frame.remarks == ("seen",)
    assert stage.done == ["open", 2, 2, 1, "close"]


def test_stages_that_were_opened_are_closed_if_a_later_one_cannot_be() -> None:
    first = Counting(set(), set())
    with (
        pytest.raises(FaceReconError, match="no such file"),
        Chain([first, Counting(set(), set(), fails=True)], Runtime()),
    ):
        pass
    assert first.done == ["open", "close"]


@given(seed=st.integers(0, 2**32 - 1), top=st.integers(0, 20), left=st.integers(0, 20))
def test_pixels_that_no_edit_covers_stay_as_they_are_bit_for_bit(seed: int, top: int, left: int) -> None:
    alpha = np.random.default_rng(seed).random((20, 30)) < 0.5
    frame = Frame(picture(seed))
    outcome = composite(replace(frame, edits=(edit(alpha, top, left),)))
    covered = np.zeros((40, 50), bool)
    covered[top : top + 20, left : left + 30] = alpha
    assert (outcome.image == frame.image)[~covered].all()
    assert (outcome.image == 255)[covered].all()
    assert (outcome.confidence == np.where(covered, np.float32(0.25), np.float32(1))).all()


def test_a_half_transparent_edit_is_mixed() -> None:
    outcome = composite(replace(Frame(np.zeros((40, 50, 3), np.uint8)), edits=(edit(np.full((20, 20), 0.5)),)))
    assert outcome.image[10, 12].tolist() == [128] * 3


def test_where_an_edit_is_half_transparent_so_is_its_confidence() -> None:
    outcome = composite(replace(Frame(picture()), edits=(edit(np.full((20, 20), 0.5)),)))
    assert outcome.confidence[10, 12] == 0.625


@given(seed=st.integers(0, 2**32 - 1), scale=st.integers(2, 4))
def test_enlarged_what_no_edit_covers_is_bicubic_and_an_edit_has_its_place(seed: int, scale: int) -> None:
    alpha = np.zeros((40 * scale, 50 * scale))
    alpha[5 * scale : 29 * scale, 8 * scale : 32 * scale] = 1
    frame = Frame(picture(seed), scale=scale, edits=(edit(alpha, 0, 0),))
    outcome = composite(frame)
    large = cv2.resize(frame.image, (50 * scale, 40 * scale), interpolation=cv2.INTER_CUBIC)
    assert (outcome.image == np.where(alpha[..., None] == 1, 255, large)).all()
    assert (outcome.confidence == np.where(alpha == 1, np.float32(0.25), np.float32(1))).all()


@pytest.mark.parametrize("scale", [1, 3])
def test_so_far_a_frame_is_as_its_result_and_hidden_where_no_edit_covers_it_wholly(scale: int) -> None:
    hidden = np.zeros((40, 50), bool)
    hidden[5:29, 4:20] = True
    alpha = np.ones((24 * scale, 24 * scale))
    alpha[:, : 2 * scale] = 0.5
    frame = Frame(picture(), hidden=hidden, scale=scale, edits=(edit(alpha, 5 * scale, 8 * scale),))
    seen, confidence = so_far(frame)
    outcome = composite(frame)
    assert (seen.image == outcome.image).all()
    assert (confidence == outcome.confidence).all()
    expected = hidden.copy()
    expected[:, 10:] = False
    assert seen.hidden is not None
    assert (seen.hidden == np.kron(expected, np.ones((scale, scale), bool))).all()
    assert frame.hidden is not None
    assert (frame.hidden == hidden).all(), "the frame itself stays"
    assert so_far(replace(frame, hidden=None))[0].hidden is None


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_a_crop_that_was_not_changed_comes_back_to_its_place(scale: int) -> None:
    smooth = cv2.GaussianBlur(picture(), (0, 0), 4)
    frame = Frame(np.clip((smooth.astype(int) - 128) * 5 + 128, 0, 255).astype(np.uint8), scale=scale)
    whole = edit(np.ones((24 * scale, 24 * scale)), 5 * scale, 8 * scale)
    pixels, _, _ = frame.crop(whole.square, 96)
    made = composite(replace(frame, edits=(replace(whole, pixels=pixels, confidence=np.ones((96, 96), np.float32)),)))
    assert np.abs(made.image.astype(int) - frame.ground).max() <= 4
    assert np.ptp(frame.ground[5 * scale : 29 * scale, 8 * scale : 32 * scale], axis=(0, 1)).min() > 60


def test_where_nothing_is_known_each_pixel_has_its_own_confidence() -> None:
    sure = np.full((24, 24), 0.75, np.float32)
    sure[12, 12] = 0
    told = replace(
        edit(np.ones((24, 24))),
        pixels=np.zeros((24, 24, 3), np.uint8),
        confidence=sure,
        known=np.zeros((24, 24), np.uint8),
    )
    confidence = composite(replace(Frame(picture()), edits=(told,))).confidence
    assert (confidence[5:29, 8:32] == sure).all()


def test_a_known_pixel_beside_a_hole_does_not_make_it_look_surer() -> None:
    known = np.ones((16, 16), np.uint8)
    known[:, 8:] = 0
    sure = np.where(known == 1, np.float32(1), np.float32(0.25))
    half = np.zeros((24, 24))
    half[:, 11:] = 1  # a pixel to the left of the crop's hole, too
    told = replace(edit(half), known=known, confidence=sure)
    assert composite(replace(Frame(picture()), edits=(told,))).confidence[5:29, 19:32].max() == 0.25


def test_the_original_cannot_be_written_to() -> None:
    frame = Frame(picture(), hidden=np.zeros((40, 50), bool))
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0] = 0
    assert frame.hidden is not None
    with pytest.raises(ValueError, match="read-only"):
        frame.hidden[0, 0] = True
