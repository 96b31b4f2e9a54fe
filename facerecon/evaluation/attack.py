"""Damage that is found for a network: projected gradient descent, and random noise of the same amplitude beside it.

Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018: white box, in the L-infinity
ball. What comes out are whole gray levels, so it is an image that a file can hold.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from facerecon.corruption.frozen_degradations import DegradedSet
from facerecon.data.datasets import EvaluationFaces, evaluation_faces
from facerecon.data.manifest import Manifest
from facerecon.evaluation.keys import Metric
from facerecon.evaluation.metrics import DATA_RANGE, channels_first
from facerecon.evaluation.robustness import (
    ATTACKED_FACES,
    ATTACKS,
    FROZEN_STEPS,
    UNDISTURBED,
    UNIFORM,
    Disturbed,
    Robustness,
    disturbed_rows,
    frozen_images,
)
from facerecon.evaluation.scores import Scores
from facerecon.progress import track
from facerecon.randomness import generator

Images = NDArray[np.uint8]
Known = NDArray[np.bool_]
Network = TypeVar("Network", bound=nn.Module)

Loss = Callable[[Tensor], Tensor]
"""Each image's loss [N] from float32 [N, 3, H, W] in [-1, 1], and none's from another one."""

STEPS = 10
"""Of projected gradient descent."""

STEP_SIZE = 1 / 4
"""Of each of them, in epsilons."""

BATCH = 16


def attacks(
    loss_of: Callable[[slice], Loss], images: Images, faces: Sequence[str], known: Known | None = None
) -> dict[str, Images]:
    """The ``images`` by case: UNDISTURBED, as they are; then each of ATTACKS, attacked or with noise as large.

    ``loss_of`` gives the loss of some of the images; the rest as in ``projected_gradient``.
    """
    found = {UNDISTURBED: images}
    for step in ATTACKS:
        epsilon = step.level
        if step.family == UNIFORM:
            found[step.case] = random_signs(images, faces, epsilon, known)
            continue
        made = []
        for start in track(range(0, len(images), BATCH), f"attacking with {epsilon} of {DATA_RANGE}"):
            part = slice(start, start + BATCH)
            with torch.inference_mode(mode=False):
                loss = loss_of(part)
            free = None if known is None else known[part]
            made.append(projected_gradient(loss, images[part], faces[part], epsilon, STEPS, STEP_SIZE * epsilon, free))
        found[step.case] = np.concatenate(made)
    return found


def for_gradients(build: Callable[[], Network]) -> Network:
    """The network that ``build`` gives, through which the input's gradient can be taken, in inference mode too."""
    with torch.inference_mode(mode=False):
        # of weights that were made in inference mode nothing can be differentiated
        return build().requires_grad_(False)


def attacked_faces(manifest: Manifest, faces: EvaluationFaces, face_set: str) -> EvaluationFaces:
    """The first ATTACKED_FACES of the ``faces`` of a set."""
    return evaluation_faces(manifest, face_set, min(ATTACKED_FACES, len(faces)))


Measure = Callable[[dict[str, Images], EvaluationFaces], Scores]
"""(images by case, faces) -> scores of all methods that are given these images of them, by case."""


def robustness_of(
    pixels: DegradedSet | None,
    faces: EvaluationFaces,
    attacked: dict[str, Images],
    few: EvaluationFaces,
    measure: Measure,
    metrics: Sequence[Metric],
    face_set: str,
) -> Robustness:
    """The rows of all steps: ``faces`` under the frozen steps of ``pixels``, the ``few`` under what ``attacks`` gave.

    Raises:
        FaceReconError: there are no such pixels, or a figure is not finite.
    """
    people = dict(zip(faces.faces, faces.rows["identity"].tolist(), strict=True))
    rows: list[Disturbed] = []
    for images, of, steps in ((frozen_images(pixels, faces.faces), faces, FROZEN_STEPS), (attacked, few, ATTACKS)):
        rows += disturbed_rows(measure(images, of), face_set, steps, metrics, people)
    assert pixels is not None
    return Robustness(pixels=pixels.digest, rows=tuple(rows))


def projected_gradient(
    loss: Loss,
    images: Images,
    faces: Sequence[str],
    epsilon: int,
    steps: int,
    step_size: float,
    known: Known | None = None,
) -> Images:
    """The images, changed by at most ``epsilon`` of 255 so that ``loss`` rises: uint8 [N, H, W, 3].

    From a uniformly random start, which follows from a face's name, ``steps`` steps of ``step_size`` (of 255) along
    the gradient's sign, each followed by the way back into the ball and to 0..255; then rounded.

    Args:
        loss: what is raised; what it is made of must not have been made in inference mode.
        images: uint8 [N, H, W, 3].
        faces: the names of the N faces.
        epsilon: whole gray levels.
        steps: how many.
        step_size: in gray levels.
        known: bool [N, H, W], the pixels that may change; None: all.
    """
    starts = [
        generator("projected gradient", epsilon, face).uniform(-epsilon, epsilon, images.shape[1:]) for face in faces
    ]
    with torch.inference_mode(mode=False), torch.enable_grad():
        clean = channels_first(images).float()
        least, most = (-clean).clamp(min=-epsilon), (DATA_RANGE - clean).clamp(max=epsilon)
        if known is not None:
            may = torch.from_numpy(known)[:, None]
            least, most = least * may, most * may
        change = torch.from_numpy(np.stack(starts).astype(np.float32)).permute(0, 3, 1, 2)
        change = change.clamp(least, most)
        for _ in range(steps):
            shown = ((clean + change) / (DATA_RANGE / 2) - 1).requires_grad_()
            (slope,) = torch.autograd.grad(loss(shown).sum(), shown)
            change = (change + step_size * slope.sign()).clamp(least, most)
        found = (clean + change.round()).to(torch.uint8)
    return found.permute(0, 2, 3, 1).numpy()


def random_signs(images: Images, faces: Sequence[str], epsilon: int, known: Known | None = None) -> Images:
    """The images with each value ``epsilon`` of 255 higher or lower, at random by the face's name, kept in 0..255.

    ``known`` bool [N, H, W]: the pixels that may change; None: all.
    """
    found = []
    for index, (image, face) in enumerate(zip(images, faces, strict=True)):
        signs = generator("random signs", epsilon, face).choice((-epsilon, epsilon), image.shape)
        may = 1 if known is None else known[index][..., None]
        found.append(np.clip(image + signs * may, 0, DATA_RANGE).astype(np.uint8))
    return np.stack(found)
