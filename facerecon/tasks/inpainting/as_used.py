"""Hole PSNR as used: the hole is in the photograph, and the face is found and aligned with the hole in it.

The frozen mask is pasted into the photograph where the face was cut out of it; from there on the chain of inference
does what it does in use. What comes out is cut where the face truly is, and measured there, in the pixels that the
frozen mask hides: in the same place as the figure of a face that was aligned before hiding.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from facerecon.data.datasets import EvaluationFaces
from facerecon.data.geometry import Square, cut
from facerecon.data.manifest import Manifest
from facerecon.evaluation.as_used import paired
from facerecon.evaluation.image_metrics import CEILING
from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.metrics import channels_first, hole_psnr
from facerecon.evaluation.scores import Scores
from facerecon.inference.chain import composite
from facerecon.inference.frames import Frame
from facerecon.inference.inpainting import Inpainted
from facerecon.inference.photographs import Photograph, at_true, note, photographs
from facerecon.inference.stage import Runtime
from facerecon.inference.stages.detect import Detect, DetectSettings
from facerecon.inference.stages.inpaint import Fill as StageFill
from facerecon.inference.stages.inpaint import fill_faces
from facerecon.tasks.inpainting.details import AsUsed
from facerecon.tasks.inpainting.evaluator import Fill, MaskCase, as_tensor
from facerecon.tasks.inpainting.metrics import HOLE_PSNR, MAIN_CASE

USED_CASES = (MAIN_CASE, "features/left_eye", "features/mouth", "features/all")
"""What is measured as used: the deciding masks, and what glasses, scarves and hands hide."""

GRAY = 128
"""What is painted into a hole, as for the identity of a face whose holes are left gray."""


@torch.inference_mode()
def measure_as_used(
    methods: Mapping[str, Fill],
    faces: EvaluationFaces,
    cases: Sequence[MaskCase],
    manifest: Manifest,
    scores: Scores,
    face_set: str,
) -> tuple[tuple[AsUsed, ...], str]:
    """A row for each method under each of the ``cases`` of ``faces``, and what could not be measured, "" if all was.

    ``scores`` has what was measured on ``face_set`` of the same faces, aligned before hiding.
    """
    unfit = Counter[str]()
    used: dict[tuple[str, int], dict[str, dict[str, float]]] = {}
    asked = Counter[tuple[str, int]]()
    detect = Detect(DetectSettings(faces="all"))
    with Runtime() as runtime, closing(detect):
        for chosen in photographs(faces, manifest, unfit):
            detect.open(runtime)  # not before there is something to look at; what it loads is held
            for case in cases:
                with_hole = [photo for photo in chosen if case.masks[photo.index].any()]
                asked[case.case, case.level] += len(with_hole)
                figures = _figures(methods, faces, case, with_hole, detect)
                for method, values in figures.items():
                    used.setdefault((case.case, case.level), {}).setdefault(method, {}).update(values)
    people = dict(zip(faces.faces, faces.rows["identity"].tolist(), strict=True))
    rows = tuple(
        _row(MetricKey(face_set, HOLE_PSNR.name, *key), method, asked[key], used[key].get(method, {}), scores, people)
        for key in used
        if asked[key]
        for method in methods
    )
    return rows, note(unfit, len(faces))


def paste_hole(mask: NDArray[np.uint8], square: Square, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which pixels of a photograph of ``size`` height, width are hidden, bool [H, W], if ``mask`` [S, S] is what is
    hidden of the crop of ``square``: those that enter a pixel of the hole with any weight. So all that is measured is
    made up, as it is where a face is aligned before hiding; a hole with sharper edges would leave truth in its rim."""
    crop = len(mask)
    factor = max(1, int(np.ceil(square.side / crop)))
    # the places at which ``geometry.cut`` looks, each of which takes from the four pixels around it
    rows, columns = np.nonzero(np.kron(mask, np.ones((factor, factor), np.uint8)))
    places = square.matrix(crop * factor) @ np.stack([columns, rows, np.ones(len(rows))])
    # OpenCV may round a place by as much as the 32nd of a pixel
    low, high = np.floor(places - 1 / 32).astype(int), np.floor(places + 1 / 32).astype(int) + 1
    hidden = np.zeros(size, bool)
    for step in np.ndindex(3, 3):
        across, along = np.minimum(low + np.array(step)[:, None], high)
        hidden[_mirrored(along, size[0]), _mirrored(across, size[1])] = True
    return hidden


def _mirrored(places: NDArray[np.int_], length: int) -> NDArray[np.int_]:
    """Places beyond a border as those within, of which ``geometry.cut`` puts a mirror image there."""
    period = max(1, 2 * length - 2)
    back = np.abs(places) % period
    return np.minimum(back, period - back)


def _figures(
    methods: Mapping[str, Fill], faces: EvaluationFaces, case: MaskCase, chosen: list[Photograph], detect: Detect
) -> dict[str, dict[str, float]]:
    """By method the hole PSNR of each face that is found."""
    damaged = [_damaged(photo, case.masks[photo.index]) for photo in chosen]
    told = [(photo, at_true(frame, photo)) for photo, frame in zip(chosen, detect.run(damaged), strict=True)]
    found = [(photo, frame) for photo, frame in told if frame.faces]
    if not found:
        return {method: {} for method in methods}
    size, index = faces.images.shape[1], [photo.index for photo, _ in found]
    truth, holes = channels_first(faces.images[index]), as_tensor(case.masks[index])
    names = [faces.faces[each] for each in index]
    figures = {}
    for method, fill in methods.items():
        filled = [composite(frame).image for frame in fill_faces([frame for _, frame in found], size, _as_stage(fill))]
        cuts = [cut(image, photo.square, size)[0] for image, (photo, _) in zip(filled, found, strict=True)]
        values = hole_psnr(channels_first(np.stack(cuts)), truth, holes).clamp(max=CEILING)
        figures[method] = dict(zip(names, values.tolist(), strict=True))
    return figures


def _damaged(photo: Photograph, mask: NDArray[np.uint8]) -> Frame:
    height, width = photo.image.shape[:2]
    hidden = paste_hole(mask, photo.square, (height, width))
    return Frame(np.where(hidden[..., None], np.uint8(GRAY), photo.image), hidden=hidden)


def _as_stage(fill: Fill) -> StageFill:
    """What the chain of inference fills faces with. A crop of which nothing is known stays gray."""

    def filled(images: NDArray[np.uint8], masks: NDArray[np.uint8]) -> Inpainted:
        made, known = np.full_like(images, GRAY), ~masks.all(axis=(1, 2))
        if known.any():
            made[known] = fill(images[known], masks[known]).images.permute(0, 2, 3, 1).numpy()
        return Inpainted(made, np.ones(masks.shape, np.float32))

    return filled


def _row(
    key: MetricKey, method: str, asked: int, used: Mapping[str, float], scores: Scores, people: Mapping[str, str]
) -> AsUsed:
    known = zip(scores.faces(key, method), np.minimum(scores.values(key, method), CEILING), strict=True)
    about = {"case": key.case, "level": key.level, "method": method, "faces": asked}
    return AsUsed(**about, **paired(dict(known), used, people))
