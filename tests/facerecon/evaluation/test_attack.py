"""An attack by projected gradient descent: it stays in its ball, is an image, and hurts."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from facerecon.evaluation.attack import attacks, projected_gradient, random_signs
from facerecon.evaluation.metrics import channels_first, from_uint8
from facerecon.evaluation.robustness import ATTACKS, UNDISTURBED
from facerecon.models import build_model
from facerecon.randomness import generator

NAMES = ("one", "two", "three", "four", "five")


def some_images(seed: int, count: int, side: int = 12) -> np.ndarray:
    """Images with values at both ends, where the ball is cut off by black and white."""
    drawn = np.random.default_rng(seed).integers(-60, 316, (count, side, side, 3))
    return np.clip(drawn, 0, 255).astype(np.uint8)


def squared_error(images: np.ndarray, seed: int) -> Callable[[Tensor], Tensor]:
    """The squared error of a blur with random weights, against the images themselves."""
    weight = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.3, (3, 3, 3, 3)).astype(np.float32))
    truth = from_uint8(images)

    def loss(seen: Tensor) -> Tensor:
        made = torch.tanh(torch.nn.functional.conv2d(seen, weight, padding=1))
        return (made - truth).square().flatten(1).sum(dim=1)

    return loss


def start_of(images: np.ndarray, faces: tuple[str, ...], epsilon: int) -> np.ndarray:
    """The images at the attack's random start, as whole levels."""
    moved = [
        image + generator("projected gradient", epsilon, face).uniform(-epsilon, epsilon, image.shape).round()
        for image, face in zip(images, faces, strict=True)
    ]
    return np.clip(moved, 0, 255).astype(np.uint8)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**20),
    count=st.integers(1, 4),
    epsilon=st.integers(1, 8),
    steps=st.integers(0, 6),
    share=st.floats(0.1, 3),
    hidden=st.floats(0, 1),
)
def test_it_stays_in_the_ball_and_leaves_what_is_unknown(
    seed: int, count: int, epsilon: int, steps: int, share: float, hidden: float
) -> None:
    images, faces = some_images(seed, count), NAMES[:count]
    known = np.random.default_rng(seed).random(images.shape[:3]) >= hidden
    loss = squared_error(images, seed)
    found = projected_gradient(loss, images, faces, epsilon, steps, share * epsilon, known)
    for changed in (found, random_signs(images, faces, epsilon, known)):
        assert changed.dtype == np.uint8
        assert changed.shape == images.shape
        assert np.abs(changed.astype(int) - images).max() <= epsilon
        assert np.array_equal(changed[~known], images[~known])


@settings(max_examples=15)
@given(seed=st.integers(0, 2**20), epsilon=st.sampled_from((1, 2, 4)))
def test_the_loss_is_above_that_of_the_random_start_and_of_random_noise(seed: int, epsilon: int) -> None:
    images, faces = some_images(seed, 3), NAMES[:3]
    loss = squared_error(images, seed)
    found = projected_gradient(loss, images, faces, epsilon, 10, epsilon / 4)
    reached = loss(from_uint8(found))
    for others in (start_of(images, faces, epsilon), random_signs(images, faces, epsilon), images):
        assert bool((reached > loss(from_uint8(others))).all())


def test_without_a_step_it_is_the_random_start() -> None:
    images = some_images(0, 3)
    found = projected_gradient(squared_error(images, 0), images, NAMES[:3], 4, 0, 1.0)
    assert np.array_equal(found, start_of(images, NAMES[:3], 4))


def test_a_linear_loss_drives_every_value_to_the_edge_of_its_ball() -> None:
    images = some_images(1, 2)
    found = projected_gradient(lambda seen: seen.flatten(1).sum(dim=1), images, NAMES[:2], 4, 10, 1.0)
    assert np.array_equal(found, np.minimum(images.astype(int) + 4, 255))


def test_batches_do_not_matter() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model("unet", {"features": [8, 16], "fold": 2}).eval().requires_grad_(False)
    images = some_images(2, 5, side=32)

    def loss_of(part: slice) -> Callable[[Tensor], Tensor]:
        truth = from_uint8(images[part])
        return lambda seen: (model(seen).restoration - truth).square().flatten(1).sum(dim=1)

    parts = [slice(0, 1), slice(1, 5)]
    alone = [projected_gradient(loss_of(part), images[part], NAMES[part], 4, 5, 1.0) for part in parts]
    together = projected_gradient(loss_of(slice(0, 5)), images, NAMES, 4, 5, 1.0)
    # where a gradient is as good as zero its sign may follow the order in which a convolution adds up
    assert (np.concatenate(alone) != together).mean() < 1e-3


def test_a_face_is_attacked_alike_in_any_company() -> None:
    images = some_images(3, 3)
    whole = squared_error(images, 3)
    together = projected_gradient(whole, images, NAMES[:3], 2, 5, 0.5)
    order = [2, 0, 1]
    turned = projected_gradient(squared_error(images[order], 3), images[order], [NAMES[i] for i in order], 2, 5, 0.5)
    assert np.array_equal(turned, together[order])


def test_every_case_is_made_even_within_inference_mode() -> None:
    images = some_images(4, 3)

    def loss_of(part: slice) -> Callable[[Tensor], Tensor]:
        return squared_error(images[part], 4)

    with torch.inference_mode():
        found = attacks(loss_of, images, NAMES[:3])
    assert list(found) == [UNDISTURBED, *(step.case for step in ATTACKS)]
    assert found[UNDISTURBED] is images
    for step in ATTACKS:
        assert np.abs(found[step.case].astype(int) - images).max() == step.level
    signs = found["uniform_4"].astype(int) - images
    inside = (images >= 4) & (images <= 251)
    assert set(np.unique(signs[inside])) == {-4, 4}
    assert abs(signs[inside].mean()) < 0.5


def test_noise_is_of_the_face_and_not_of_its_place() -> None:
    images = some_images(5, 2)
    first = random_signs(images, NAMES[:2], 2)
    second = random_signs(images[::-1], NAMES[1::-1], 2)
    assert np.array_equal(first, second[::-1])
    assert not np.array_equal(channels_first(first[:1]), channels_first(first[1:]))
    with pytest.raises(ValueError, match="zip"):
        random_signs(images, NAMES[:1], 2)
