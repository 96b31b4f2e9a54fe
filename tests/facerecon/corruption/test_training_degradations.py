"""The degradations of a training run: as the settings say, along the curriculum."""

import numpy as np

from facerecon.corruption.degradation_settings import DegradationSettings
from facerecon.corruption.training_degradations import TrainingDegradations
from facerecon.randomness import generator

SIZE = 32


def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def made(settings: DegradationSettings, progress: float = 1.0, scale: int = 1, count: int = 300) -> list[np.ndarray]:
    degrade = TrainingDegradations(settings, SIZE, scale)
    return [degrade(progress, generator(seed, "degradation"), picture()) for seed in range(count)]


def untouched(pictures: list[np.ndarray]) -> float:
    return float(np.mean([np.array_equal(one, picture()) for one in pictures]))


def test_the_clean_share_is_left_as_it_is() -> None:
    noisy = {"training": ("gfpgan",), "curriculum": 0.0}
    assert 0.24 < untouched(made(DegradationSettings(clean_share=0.3, **noisy))) < 0.36
    assert untouched(made(DegradationSettings(clean_share=0.0, **noisy))) == 0
    assert untouched(made(DegradationSettings(clean_share=1.0, **noisy))) == 1


def test_it_begins_mild() -> None:
    settings = DegradationSettings(training=("gfpgan",), clean_share=0.0)
    errors = [
        np.mean([np.abs(one.astype(int) - picture()).mean() for one in made(settings, progress, count=60)])
        for progress in (0.0, 0.25, 0.5)
    ]
    assert errors[0] < errors[1] < errors[2]
    np.testing.assert_array_equal(made(settings, 0.5, count=9), made(settings, 1.0, count=9))


def test_each_preset_is_met_as_often() -> None:
    """What is made by one of two presets is what it makes alone: the choice changes no other number."""
    alone = {name: made(DegradationSettings(training=(name,), clean_share=0.0)) for name in ("mild", "motion")}
    both = made(DegradationSettings(training=("mild", "motion"), clean_share=0.0))
    is_mild = [np.array_equal(one, mild) for one, mild in zip(both, alone["mild"], strict=True)]
    is_motion = [np.array_equal(one, motion) for one, motion in zip(both, alone["motion"], strict=True)]
    assert all(mild or motion for mild, motion in zip(is_mild, is_motion, strict=True))
    assert 0.4 < np.mean(is_mild) < 0.6


def test_the_output_is_what_a_network_that_enlarges_takes() -> None:
    for scale in (1, 2, 4):
        for one in made(DegradationSettings(), scale=scale, count=12):
            assert one.shape == (SIZE // scale, SIZE // scale, 3)
            assert one.dtype == np.uint8


def test_the_count_of_draws_depends_on_nothing() -> None:
    states = []
    for settings, progress in (
        (DegradationSettings(clean_share=1.0), 0.0),
        (DegradationSettings(clean_share=0.0, training=("motion",)), 0.7),
        (DegradationSettings(clean_share=0.0, training=("cctv_train",), curriculum=0.0), 0.2),
    ):
        rng = np.random.default_rng(4)
        TrainingDegradations(settings, SIZE)(progress, rng, picture())
        states.append(rng.bit_generator.state)
    assert states[0] == states[1] == states[2]
