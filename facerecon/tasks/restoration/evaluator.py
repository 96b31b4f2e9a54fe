"""Measuring whatever restores faces, face by face, under each frozen degradation."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facerecon.data.datasets import EvaluationFaces
from facerecon.evaluation.image_metrics import SSIM, WHOLE_PSNR
from facerecon.evaluation.judges import Judges, Truth
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.metrics import channels_first, from_uint8, ssim, to_uint8, whole_psnr
from facerecon.evaluation.scores import Scores
from facerecon.models.restoration import RestorationModel
from facerecon.progress import track
from facerecon.randomness import unit_interval
from facerecon.tasks.restoration.metrics import rank_one

BATCH = 16


class Restored(NamedTuple):
    """Images uint8 [N, 3, H, W], and which of them are finite, bool [N]: one that is not is gray.

    ``confidence`` float [N, 1, H, W] in [0, 1]; None where the method has none.
    """

    images: Tensor
    finite: Tensor
    confidence: Tensor | None = None


Restore = Callable[[str, tuple[str, ...], NDArray[np.uint8]], Restored]
"""(degradation, names of the faces, degraded images uint8 [N, h, w, 3]) -> Restored, as large as the true faces."""


def restore_by_model(model: RestorationModel, device: torch.device | None = None) -> Restore:
    """What the model makes, in batches of BATCH."""

    @torch.inference_mode()
    def restore(case: str, names: tuple[str, ...], degraded: NDArray[np.uint8]) -> Restored:
        parts = []
        for start in range(0, len(degraded), BATCH):
            image = from_uint8(degraded[start : start + BATCH])
            output = model(image if device is None else image.to(device))
            finite = output.restoration.isfinite().flatten(1).all(dim=1)
            shown = to_uint8(output.restoration.where(finite[:, None, None, None], 0.0))
            confidence = None if output.confidence_logits is None else output.confidence
            parts.append((shown, finite, confidence))
        sure = [part[2] for part in parts if part[2] is not None]
        shown, finite = (torch.cat(each) for each in zip(*(part[:2] for part in parts), strict=True))
        return Restored(shown, finite, torch.cat(sure) if sure else None)

    return restore


Observe = Callable[[str, str, Restored, Truth], None]
"""Is given each batch: degradation, method, what it made, truth."""


Plan = Mapping[str, Mapping[str, Restore]]
"""By degradation the methods that are measured under it, by name."""


class Degraded(Protocol):
    """What has the degraded faces: ``DegradedCases``, or images that are made for the moment."""

    def images(self, preset: str, faces: EvaluationFaces) -> NDArray[np.uint8]:
        """The degraded faces uint8 [N, h, w, 3]."""
        ...


@torch.inference_mode()
def measure(
    face_set: str,
    plan: Plan,
    faces: EvaluationFaces,
    cases: Degraded,
    metrics: Sequence[Metric],
    judges: Judges,
    what: str = "",
    observe: Observe | None = None,
) -> Scores:
    """The figures of the methods of a plan; NaN of what is not finite. A metric's ceiling holds.

    ``what`` names the work where its progress is shown. With rank 1 among the metrics a gallery holds one true face of
    each of the people, chosen by hash, in which all other faces are looked up: it is measured of these alone.
    """
    scores = Scores()
    seen: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    true_embeddings: list[Tensor] = []
    degraded = {preset: cases.images(preset, faces) for preset in plan}
    points, names = faces.points5(), faces.faces
    ranks = [metric for metric in metrics if judges.identity is not None and metric == rank_one(judges.identity.judge)]
    by_face = [metric for metric in metrics if metric not in ranks]
    for start in track(range(0, len(faces), BATCH), what) if what else range(0, len(faces), BATCH):
        part = slice(start, start + BATCH)
        truth = judges.look(names[part], faces.images[part], points[part])
        true_embeddings.append(truth.embeddings)
        for preset, methods in plan.items():
            for method, restore in methods.items():
                restored = restore(preset, truth.faces, degraded[preset][part])
                embeddings = None if judges.identity is None else judges.embed(restored.images, truth.points)
                if embeddings is not None:
                    seen[preset, method].append(embeddings.where(restored.finite[:, None], torch.nan))
                for metric in by_face:
                    values = value_of(metric, restored.images, truth, judges, embeddings)
                    if metric.ceiling is not None:
                        values = values.clamp(max=metric.ceiling)
                    values = values.where(restored.finite, torch.nan)
                    key = MetricKey(face_set, metric.name, preset)
                    scores.add(key, method, truth.faces, values.double().cpu().numpy())
                if observe is not None:
                    observe(preset, method, restored, truth)
    gallery, probes = gallery_of(faces)
    if ranks and probes:
        people = faces.rows["identity"].tolist()
        of = [people[index] for index in probes], [people[index] for index in gallery]
        known = torch.cat(true_embeddings)[gallery]
        for (preset, method), parts in seen.items():
            found = rank_one_of(torch.cat(parts)[probes], known, *of)
            scores.add(MetricKey(face_set, ranks[0].name, preset), method, [names[index] for index in probes], found)
    return scores


def value_of(metric: Metric, images: Tensor, truth: Truth, judges: Judges, embeddings: Tensor | None = None) -> Tensor:
    """A figure of each image uint8 [N, 3, H, W]; ``embeddings`` are the identity judge's where they are known."""
    if metric == judges.lpips:
        return judges.distance(images, truth)
    if metric == judges.identity:
        seen = judges.embed(images, truth.points) if embeddings is None else embeddings
        return (seen * truth.embeddings).sum(dim=1)
    true_images = channels_first(truth.images).to(images.device)
    return {WHOLE_PSNR.name: whole_psnr, SSIM.name: ssim}[metric.name](images, true_images)


def gallery_of(faces: EvaluationFaces) -> tuple[list[int], list[int]]:
    """The index of one face of each of the people, chosen by hash, and of all other faces."""
    first: dict[str, int] = {}
    order = sorted(range(len(faces)), key=lambda index: unit_interval("gallery", faces.faces[index]))
    for index in order:
        first.setdefault(str(faces.rows["identity"].iloc[index]), index)
    gallery = sorted(first.values())
    return gallery, [index for index in range(len(faces)) if index not in set(gallery)]


def rank_one_of(
    probes: Tensor, gallery: Tensor, of_probes: Sequence[str], of_gallery: Sequence[str]
) -> NDArray[np.float64]:
    """1 where the nearest of ``gallery`` [G, D] to a probe [P, D] is of its person, else 0; NaN of no numbers."""
    nearest = (probes.nan_to_num() @ gallery.T).argmax(dim=1).tolist()
    right = np.array(
        [of_gallery[place] == person for place, person in zip(nearest, of_probes, strict=True)], np.float64
    )
    return np.where(probes.isfinite().all(dim=1).numpy(), right, np.nan)
