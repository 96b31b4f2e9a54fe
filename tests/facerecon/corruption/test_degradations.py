"""Kernels, building blocks, and whole degradations."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facerecon.corruption.degradations import (
    Degradation,
    blur,
    curved_way,
    degrade,
    dim,
    disc_kernel,
    draw,
    gaussian_kernel,
    gaussian_noise,
    gray,
    h264,
    jpeg,
    motion_kernel,
    poisson_noise,
    resize,
    ringing_kernel,
)
from facerecon.corruption.presets import CLEAN, PRESETS, REFERENCE, NoiseRanges, Preset, SecondPass, robustness_cases
from facerecon.randomness import generator

EVERY_PRESET = [*PRESETS.values(), *(case.preset for case in robustness_cases())]
DARK = Preset("dark", "of this test", light=(1.0, 0.05), gain=(0.0, 1.0), noise=NoiseRanges((2.0, 6.0)))
SEEDS = st.integers(0, 2**32 - 1)
SEVERITIES = st.floats(0, 1)
ANY_PRESET = st.sampled_from([*EVERY_PRESET, DARK])


def picture(size: int, seed: int = 0) -> np.ndarray:
    """A smooth coloured picture with an edge and a grain, uint8 [size, size, 3]."""
    rng = np.random.default_rng(seed)
    smooth = resize(rng.uniform(30, 220, (5, 5, 3)).astype(np.float32), size, size)
    smooth[size // 3 : size // 2, size // 4 : -size // 4] *= 0.4
    return np.clip(smooth + rng.normal(0, 8, (size, size, 3)), 0, 255).astype(np.uint8)


def error(made: np.ndarray, image: np.ndarray) -> float:
    return float(np.abs(made.astype(float) - image).mean())


def is_kernel(kernel: np.ndarray) -> None:
    assert kernel.dtype == np.float32
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)


def centre(kernel: np.ndarray) -> np.ndarray:
    """Its centroid (x, y) from its middle pixel."""
    axis = np.arange(len(kernel)) - len(kernel) // 2
    return np.array([(kernel.sum(0) * axis).sum(), (kernel.sum(1) * axis).sum()])


def spread(kernel: np.ndarray) -> np.ndarray:
    """The standard deviations of a centred kernel along x and y."""
    axis = np.arange(len(kernel)) - len(kernel) // 2
    return np.sqrt([(kernel.sum(0) * axis**2).sum(), (kernel.sum(1) * axis**2).sum()])


@given(st.floats(0, 12), st.floats(0, 12), st.floats(0, np.pi))
@settings(max_examples=40, deadline=None)
def test_gaussians_are_kernels(sigma: float, across: float, angle: float) -> None:
    kernel = gaussian_kernel(sigma, across, angle)
    is_kernel(kernel)
    np.testing.assert_allclose(centre(kernel), 0, atol=1e-4)


@given(st.floats(0, 12))
@settings(max_examples=40, deadline=None)
def test_discs_are_kernels(radius: float) -> None:
    kernel = disc_kernel(radius)
    is_kernel(kernel)
    np.testing.assert_allclose(centre(kernel), 0, atol=1e-4)
    np.testing.assert_array_equal(kernel, kernel.T)


@given(SEEDS, st.floats(0, 40))
@settings(max_examples=40, deadline=None)
def test_ways_of_motion_are_kernels_about_their_centroid(seed: int, length: float) -> None:
    way = curved_way(length, np.random.default_rng(seed).standard_normal((64, 2)))
    assert np.hypot(*np.diff(way, axis=0).T).sum() == pytest.approx(length, abs=1e-6)
    kernel = motion_kernel(way)
    is_kernel(kernel)
    np.testing.assert_allclose(centre(kernel), 0, atol=1e-3)


def test_kernels_are_as_wide_as_they_say() -> None:
    # the mean over a pixel adds its own variance, 1/12, of which oversampling leaves a 25th out; the tails are cut
    np.testing.assert_allclose(spread(gaussian_kernel(3.0)), 3.0, rtol=0.02)
    np.testing.assert_allclose(spread(gaussian_kernel(4.0, 1.0, 0.0)), [4.0, 1.0], rtol=0.05)
    np.testing.assert_allclose(spread(gaussian_kernel(4.0, 1.0, np.pi / 2)), [1.0, 4.0], rtol=0.05)
    # the variance of a disc along an axis is a quarter of its squared radius
    np.testing.assert_allclose(spread(disc_kernel(6.0)), 3.0, rtol=0.02)
    for nothing in (gaussian_kernel(0.0), disc_kernel(0.0), motion_kernel(curved_way(0.0, np.ones((64, 2))))):
        assert nothing.max() == pytest.approx(1)


def test_ways_are_smooth_and_curved() -> None:
    """No way curls up, and none is straight."""
    reaches = []
    for seed in range(100):
        way = curved_way(9.0, np.random.default_rng(seed).standard_normal((64, 2)))
        steps = np.diff(way, axis=0)
        turns = np.angle((steps[1:, 0] + 1j * steps[1:, 1]) / (steps[:-1, 0] + 1j * steps[:-1, 1]))
        assert np.abs(turns).max() < 0.6
        reaches.append(np.hypot(*(way[-1] - way[0])))
    assert 6 < np.mean(reaches) < 8.8
    assert max(reaches) < 9


@given(SEEDS, st.sampled_from(["gaussian", "disc", "motion"]), st.sampled_from([32, 48, 64]))
@settings(max_examples=30, deadline=None)
def test_blur_keeps_the_mean(seed: int, kind: str, size: int) -> None:
    kernel = {
        "gaussian": gaussian_kernel(1.5, 0.4, 0.7),
        "disc": disc_kernel(2.3),
        "motion": motion_kernel(curved_way(6.0, np.random.default_rng(seed).standard_normal((64, 2)))),
    }[kind]
    flat = np.full((size, size, 3), (10, 128, 250), np.uint8)
    np.testing.assert_allclose(blur(flat, kernel), flat, atol=1e-3)
    # away from edges, where a mirrored pixel counts twice, nothing is lost
    image = np.zeros((size, size, 3), np.float32)
    image[12:-12, 12:-12] = np.random.default_rng(seed).uniform(0, 255, (size - 24, size - 24, 3))
    assert blur(image, kernel).mean() == pytest.approx(image.mean(), rel=1e-4)


def test_blur_is_a_convolution() -> None:
    """A point becomes the kernel itself, not the turned one: methods that know the kernel rely on it."""
    kernel = motion_kernel(curved_way(8.0, np.random.default_rng(3).standard_normal((64, 2))))
    point = np.zeros((41, 41, 3), np.float32)
    point[20, 20] = 1
    reach = len(kernel) // 2
    spot = blur(point, kernel)[20 - reach : 21 + reach, 20 - reach : 21 + reach, 0]
    np.testing.assert_allclose(spot, kernel, atol=1e-6)
    assert np.abs(spot - kernel[::-1, ::-1]).max() > 0.01


def test_downsampling_averages_areas() -> None:
    image = picture(64)
    means = image.reshape(16, 4, 16, 4, 3).astype(float).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, 16, 16), means, atol=1e-2)
    np.testing.assert_array_equal(resize(image, 64, 64), image)
    assert resize(image, 100, 100).shape == (100, 100, 3)


@pytest.mark.parametrize("one_channel", [False, True])
def test_noise_is_as_strong_as_it_says(one_channel: bool) -> None:
    rng = np.random.default_rng(0)
    level = np.full((128, 128, 3), 128, np.uint8)
    noise = gaussian_noise(level, 12.0, rng, one_channel) - 128
    assert noise.std() == pytest.approx(12, rel=0.03)
    assert abs(noise.mean()) < 0.3
    assert (noise[..., 0] == noise[..., 2]).all() == one_channel
    for value in (255, 64):
        counted = poisson_noise(np.full((128, 128, 3), value, np.uint8), 20.0, rng, one_channel) - value
        assert counted.std() == pytest.approx(20 * np.sqrt(value / 255), rel=0.03)
        assert abs(counted.mean()) < 0.6
        assert np.allclose(counted[..., 0], counted[..., 2], atol=1e-3) == one_channel


def test_gray_has_the_luma_in_all_channels() -> None:
    made = gray(np.full((2, 2, 3), (255, 0, 0), np.uint8))
    np.testing.assert_allclose(made, 0.299 * 255, rtol=1e-5)


def test_noise_comes_after_the_light_is_reduced() -> None:
    """Putting the brightness back puts the noise up: the camera's gain knows no difference between them."""
    level = np.full((64, 64, 3), 200, np.uint8)
    for gain, expected, noise in ((0.0, 200 * 0.1 ** (1 / 2.2), 5.0), (1.0, 200.0, 5 * 10 ** (1 / 2.2))):
        preset = Preset("x", "x", light=(0.1, 0.1), gain=(gain, gain), noise=NoiseRanges((5.0, 5.0)))
        made = degrade(level, draw(preset, 64, np.random.default_rng(0)), np.random.default_rng(1))
        assert made.mean() == pytest.approx(expected, abs=1)
        assert made.std() == pytest.approx(noise, rel=0.05)
    np.testing.assert_allclose(dim(level, 1.0), level)


def test_ringing_overshoots_and_keeps_flat_pictures() -> None:
    kernel = ringing_kernel(np.pi / 3)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert kernel.min() < 0
    # what is slower than the cutoff of a sixth of a cycle passes, what is faster does not
    spectrum = np.abs(np.fft.fft2(kernel, (64, 64)))[0]
    assert spectrum[:8].min() > 0.85
    assert spectrum[16:33].max() < 0.15
    edge = np.zeros((32, 32, 3), np.float32)
    edge[:, 16:] = 200
    assert blur(edge, kernel).max() > 205


@pytest.mark.parametrize("lossy", ["jpeg", "h264"])
def test_codecs_remove_more_the_harder_they_press(lossy: str) -> None:
    image = picture(64)
    levels = (90, 70, 50, 30, 10) if lossy == "jpeg" else (23, 30, 37, 45)
    made = [jpeg(image, level) if lossy == "jpeg" else h264([image] * 3, level) for level in levels]
    for one in made:
        assert one.shape == image.shape
        assert one.dtype == np.uint8
    errors = [error(one, image) for one in made]
    assert errors[0] > 1
    assert all(more > less for less, more in pairwise(errors))
    # a codec takes fine detail, not light or colour
    assert np.abs(made[0].mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 2
    grain = [np.abs(np.diff(one.astype(float), axis=1)).mean() for one in (image, made[-1])]
    assert grain[1] < 0.5 * grain[0]


@pytest.mark.parametrize("size", [14, 15, 16, 33])
def test_h264_takes_any_size_and_gives_the_last_frame(size: int) -> None:
    frames = [np.full((size, size, 3), value, np.uint8) for value in (40, 120, 200)]
    made = h264(frames, 23)
    assert made.shape == (size, size, 3)
    assert abs(made.astype(float).mean() - 200) < 4
    np.testing.assert_array_equal(h264(frames, 23), made)


# ------------------------------------------------------------------------------------------------ whole degradations


@given(ANY_PRESET, SEEDS, SEVERITIES, st.sampled_from([(32, 1), (48, 1), (64, 1), (64, 2), (32, 4), (128, 4)]))
@settings(max_examples=120, deadline=None)
def test_a_degraded_face_is_a_picture_of_the_asked_size(
    preset: Preset, seed: int, severity: float, size_and_scale: tuple[int, int]
) -> None:
    size, scale = size_and_scale
    image = picture(size)
    before = image.copy()
    made = []
    for _ in range(2):
        rng = np.random.default_rng(seed)
        made.append(degrade(image, draw(preset, size, rng, severity), rng, scale))
    assert made[0].shape == (size // scale, size // scale, 3)
    assert made[0].dtype == np.uint8
    np.testing.assert_array_equal(*made)
    np.testing.assert_array_equal(image, before)


@given(ANY_PRESET, ANY_PRESET, SEEDS, SEVERITIES, SEVERITIES)
@settings(max_examples=60, deadline=None)
def test_the_count_of_draws_depends_on_nothing(one: Preset, other: Preset, seed: int, low: float, high: float) -> None:
    states = []
    for preset, size, severity in ((one, 32, low), (other, 48, high)):
        rng = np.random.default_rng(seed)
        degrade(picture(size), draw(preset, size, rng, severity), rng)
        states.append(rng.bit_generator.state)
    assert states[0] == states[1]


def within(value: float, ends: tuple[float, float], slack: float = 1e-6) -> bool:
    return min(ends) - slack <= value <= max(ends) + slack


@given(ANY_PRESET, SEEDS, SEVERITIES, st.sampled_from([64, 512]))
@settings(max_examples=200, deadline=None)
def test_presets_keep_to_their_ranges(preset: Preset, seed: int, severity: float, size: int) -> None:
    drawn = draw(preset, size, np.random.default_rng(seed), severity)
    to_reference = REFERENCE / size
    is_kernel(drawn.kernel)
    assert all(within(sigma * to_reference, preset.blur) for sigma in drawn.sigmas)
    assert drawn.motion == 0 or within(drawn.motion * to_reference, preset.motion)
    assert drawn.motion == 0 or preset.moving
    low, high = sorted(preset.width or (size, size))
    assert min(low, size) - 0.5 <= drawn.width <= min(high + 0.5, size)
    assert drawn.width == drawn.first_width or drawn.second is not None
    for made, ends in ((drawn.jpeg, preset.jpeg), (drawn.crf, preset.h264)):
        assert (made is None) == (ends is None)
        assert made is None or within(made, ends or (0, 0), 0.5)
    assert within(drawn.noise.gaussian, preset.noise.gaussian) or drawn.noise.shot
    assert within(drawn.light, preset.light)
    if drawn.second is not None:
        assert preset.second is not None
        ranges = preset.second.noise
        assert within(drawn.second.blur, preset.second.blur)
        assert within(drawn.second.noise.gaussian, ranges.gaussian) or within(drawn.second.noise.shot, ranges.shot)
        assert drawn.second.ringing is None or np.pi / 3 <= drawn.second.ringing <= np.pi


@pytest.mark.parametrize("name", PRESETS)
def test_strongest_and_mildest_ends_are_reached(name: str) -> None:
    preset = PRESETS[name]
    many = [draw(preset, 512, np.random.default_rng(seed)) for seed in range(400)]
    if preset.width is not None:
        widths = [drawn.width for drawn in many]
        assert min(widths) <= min(preset.width) * 1.03
        assert max(widths) >= min(max(preset.width), 512) * 0.9
    strengths = [drawn.sigmas[0] for drawn in many] if preset.blur[1] else [drawn.motion for drawn in many]
    ends = preset.blur if preset.blur[1] else preset.motion
    assert within(min(strengths), ends)
    assert max(strengths) >= 0.97 * ends[1]
    assert np.mean([drawn.gray for drawn in many]) == pytest.approx(preset.gray, abs=0.06)
    if preset.second is not None:
        again = [drawn.second for drawn in many if drawn.second is not None]
        assert len(again) / len(many) == pytest.approx(preset.second.share, abs=0.06)
        rings = np.mean([second.ringing is not None for second in again])
        assert rings == pytest.approx(preset.second.ringing, abs=0.08)
    mildest = [draw(preset, 512, np.random.default_rng(seed), 0.0) for seed in range(50)]
    assert not any(drawn.gray or drawn.second for drawn in mildest)
    assert len({(drawn.sigmas, drawn.width, drawn.jpeg, drawn.noise.gaussian, drawn.crf) for drawn in mildest}) == 1


OF_ONE_STRENGTH = {"low_resolution", "poor_light", "motion_9", "poor_video"}


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "clean"])
def test_more_severity_is_more_error(name: str) -> None:
    image, seeds = picture(64), range(60)
    errors = [
        np.mean([error(made, image) for made in degraded(PRESETS[name], image, seeds, severity)])
        for severity in (0.0, 0.5, 1.0)
    ]
    if name in OF_ONE_STRENGTH:
        assert 1 < errors[0] == errors[1] == errors[2]
    else:
        assert errors[0] < errors[1] < errors[2]


def degraded(preset: Preset, image: np.ndarray, seeds: range, severity: float = 1.0) -> np.ndarray:
    rngs = [np.random.default_rng(seed) for seed in seeds]
    return np.stack([degrade(image, draw(preset, len(image), rng, severity), rng) for rng in rngs])


def test_presets_are_ordered_by_what_they_leave() -> None:
    image, seeds = picture(64), range(40)
    mild, gfpgan, cctv = (error(degraded(PRESETS[name], image, seeds), image) for name in ("mild", "gfpgan", "cctv"))
    assert mild < gfpgan < cctv


@given(SEEDS, SEVERITIES)
@settings(max_examples=20, deadline=None)
def test_clean_stays_clean(seed: int, severity: float) -> None:
    image = picture(48, seed)
    rng = np.random.default_rng(seed)
    drawn = draw(CLEAN, 48, rng, severity)
    np.testing.assert_array_equal(degrade(image, drawn, rng), image)
    np.testing.assert_array_equal(degrade(image.astype(np.float32), drawn, rng), image)
    np.testing.assert_array_equal(degrade(image, drawn, rng, scale=2), np.rint(resize(image, 24, 24)))


def test_blur_is_the_same_share_of_the_face_at_any_size() -> None:
    small, large = (draw(PRESETS["motion"], size, np.random.default_rng(5)) for size in (64, 256))
    assert large.motion == pytest.approx(4 * small.motion)
    np.testing.assert_allclose(spread(large.kernel), 4 * spread(small.kernel), rtol=0.1, atol=0.5)
    wide, narrow = (draw(PRESETS["cctv"], size, np.random.default_rng(5)).width for size in (64, 256))
    assert wide == narrow


def test_the_kernel_that_is_handed_out_is_the_one_that_blurred() -> None:
    image = picture(64)
    drawn = draw(PRESETS["motion"], 64, np.random.default_rng(8))
    made = degrade(image, drawn, np.random.default_rng(0))
    np.testing.assert_array_equal(made, np.clip(np.rint(blur(image, drawn.kernel)), 0, 255))


def test_recordings_are_no_wider_than_the_output() -> None:
    """A network that enlarges four times gets a recording of its input's size: noise is not averaged out of it."""
    preset = Preset("x", "x", noise=NoiseRanges((20.0, 20.0)))
    level = np.full((128, 128, 3), 128, np.uint8)
    made = degrade(level, draw(preset, 128, np.random.default_rng(0)), np.random.default_rng(0), scale=4)
    assert made.std() == pytest.approx(20, rel=0.1)


def test_gray_recordings_stay_gray() -> None:
    preset = replace(PRESETS["cctv"], gray=1.0)
    for made in degraded(preset, picture(64), range(12)):
        assert np.ptp(made.astype(int), axis=2).max() <= 6


NOTHING_TWICE = SecondPass(1.0, (0.0, 0.0), (1.0, 1.0), 0.0, NoiseRanges(), None)


@pytest.mark.parametrize(
    "change",
    [
        {"blur": (2.0, 2.0)},
        {"resize": (0.3, 0.3)},
        {"ringing": 1.0},
        {"noise": NoiseRanges((20.0, 20.0))},
        {"noise": NoiseRanges(shot=(20.0, 20.0), photons=1.0)},
        {"jpeg": (20.0, 20.0)},
    ],
    ids=["blur", "resize", "ringing", "noise", "photons", "jpeg"],
)
def test_each_part_of_the_second_pass_is_done(change: dict[str, Any]) -> None:
    image = picture(64)
    once = Preset("x", "x", width=(24.0, 24.0), noise=NoiseRanges((4.0, 4.0)))

    def made(second: SecondPass | None) -> np.ndarray:
        return degrade(
            image, draw(replace(once, second=second), 64, np.random.default_rng(1)), np.random.default_rng(2)
        )

    np.testing.assert_array_equal(made(NOTHING_TWICE), made(None))
    assert error(made(replace(NOTHING_TWICE, **change)), made(None)) > 0.5


def test_a_face_that_moves_in_a_clip_is_shown_where_it_is() -> None:
    """Frames before the last show it elsewhere; it ends at its own place."""
    image, places = picture(64), []
    for seed in range(12):
        drawn = draw(Preset("x", "x", h264=(20.0, 20.0)), 64, np.random.default_rng(seed))
        made = degrade(image, drawn, np.random.default_rng(0))
        shifts = [(x, y) for x in range(-3, 4) for y in range(-3, 4)]
        moved = [np.roll(image, shift, axis=(1, 0))[4:-4, 4:-4] for shift in shifts]
        errors = [error(made[4:-4, 4:-4], one) for one in moved]
        assert shifts[int(np.argmin(errors))] == (0, 0)
        places.append(drawn.drift)
    assert len(set(places)) > 4


def test_wrong_requests_are_refused() -> None:
    drawn: Degradation = draw(CLEAN, 64, np.random.default_rng(0))
    for image, scale in ((picture(32), 1), (picture(64)[..., :1], 1), (picture(64), 3)):
        with pytest.raises(ValueError, match="a crop"):
            degrade(image, drawn, np.random.default_rng(0), scale)
    with pytest.raises(ValueError, match="severity"):
        draw(CLEAN, 64, np.random.default_rng(0), 1.5)


def test_what_is_drawn_never_changes() -> None:
    """Frozen faces are described by it. Who has to change this counts ``DRAWING`` up."""
    second = SecondPass(1.0, (0.0, 1.0), (0.5, 2.0), 1.0, NoiseRanges((0.0, 1.0)), (90.0, 10.0))
    preset = Preset("pinned", "of this test", False, blur=(0.0, 10.0), anisotropic=0.5, motion=(0.0, 72.0), moving=1.0)
    noise = NoiseRanges((0.0, 1.0), (0.0, 1.0), photons=0.5, one_channel=0.5)
    preset = replace(preset, width=(56.0, 14.0), gray=0.5, noise=noise, jpeg=(90.0, 10.0), second=second, h264=(0, 50))
    drawn = draw(preset, 512, generator("pinned", 1))
    assert drawn.second is not None
    numbers = (drawn.sigmas[0], drawn.angle, drawn.motion, drawn.noise.gaussian)
    again = (drawn.second.blur, drawn.second.ringing, drawn.second.noise.gaussian)
    assert numbers == pytest.approx((9.148668, 3.106718, 52.121200, 0.927486), abs=1e-6)
    assert again == pytest.approx((0.811466, 3.124297, 0.050909), abs=1e-6)
    assert (drawn.first_width, drawn.width, drawn.jpeg, drawn.second.jpeg, drawn.crf) == (35, 25, 35, 48, 1)
    assert drawn.gray
    assert drawn.kernel.shape == (109, 109)
