"""Nothing leaks: what is measured was neither seen by the network, nor trained on, nor judged by its teacher.

That hole pixels cannot reach a network is tested with every family beside it, in PyTorch and in ONNX Runtime.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from facerecon.corruption.frozen import MaskSet
from facerecon.corruption.settings import MaskSettings
from facerecon.data.augmentation import AugmentationSettings
from facerecon.data.datasets import StepSampler
from facerecon.data.manifest import Manifest
from facerecon.evaluation.metrics import channels_first
from facerecon.evaluation.scores import Summary
from facerecon.files import sha256_bytes
from facerecon.models.trained import TrainedModel
from facerecon.perception.identity import load_identity
from facerecon.run import parse_settings
from facerecon.tasks.inpainting import evaluate as module
from facerecon.tasks.inpainting.cases import MaskCases
from facerecon.tasks.inpainting.dataset import TrainingFaces, collate
from facerecon.tasks.inpainting.evaluate import EvaluationPart, evaluate
from facerecon.tasks.inpainting.evaluation_settings import InpaintingEvaluationSettings
from facerecon.tasks.inpainting.evaluator import Fill, Filled
from facerecon.tasks.inpainting.gate_settings import InpaintingPromotionSettings
from facerecon.tasks.inpainting.losses import ReconstructionLoss
from facerecon.training.settings import TeacherSettings

FOLDER = Path(__file__).parents[4] / "configs"
CONFIGS = sorted(set(FOLDER.glob("*.yaml")) - {FOLDER / "reconstruction.yaml"})  # by which nothing is trained
STILL = AugmentationSettings(flip=0, rotation=0, brightness=0, contrast=0, colour=0, blur=0)


def no_hole(
    progress: float, rng: np.random.Generator, points68: NDArray[np.float32], parts: NDArray[np.uint8] | None
) -> NDArray[np.uint8]:
    return np.zeros((64, 64), dtype=np.uint8)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_holds_every_training_face_and_nobody_else(tiny_manifest: Manifest, workers: int) -> None:
    def crops(*splits: str) -> set[str]:
        rows = [tiny_manifest.split(split)["face"] for split in splits]
        return {sha256_bytes(tiny_manifest.aligned_faces.crop(face).tobytes()) for each in rows for face in each}

    faces = TrainingFaces(tiny_manifest, STILL, no_hole, seed=0)
    sampler = StepSampler(len(faces), 3, 6, seed=0)  # two epochs and a quarter, batches across their seams
    seen = set()
    for batch in DataLoader(faces, batch_sampler=sampler, collate_fn=collate, num_workers=workers):
        images = ((batch.image + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
        seen |= {sha256_bytes(image.tobytes()) for image in images}
    assert seen == crops("train")
    assert not seen & crops("val", "gate", "test")
    people = {split: set(tiny_manifest.split(split)["identity"]) for split in ("train", "val", "gate", "test")}
    assert sum(map(len, people.values())) == len(set().union(*people.values())), "nobody is in two splits"


def test_the_untouched_image_is_infinitely_good_and_perfect_by_every_judge(
    tiny_model: TrainedModel, tiny_manifest: Manifest, tiny_masks: MaskSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A figure that the truth itself does not reach would measure something else than the distance to the truth."""

    def cheat(model: object) -> Fill:
        return lambda images, masks: Filled(channels_first(images), torch.ones(len(images), dtype=torch.bool))

    monkeypatch.setattr(module, "fill_by_model", cheat)
    masks = MaskSet(64, {(3, "brush"): tiny_masks.masks[3, "brush"]}, tiny_masks.folder)
    settings = InpaintingEvaluationSettings(lpips_backbone="alex")
    part = EvaluationPart(masks=MaskSettings(evaluate_features=False), evaluation=settings)
    result = evaluate(part, tiny_model, tiny_manifest, MaskCases(masks))
    found = {metric.name: result.summary(metric.name, "brush", 3, "model") for metric in result.metrics}
    for metric in ("whole_psnr", "hole_psnr"):
        assert found[metric] == Summary(mean=None, std=None, n=3, infinite=3)
    means = [found[metric].mean for metric in ("ssim", "lpips_alex", "identity_dlib")]
    assert means == pytest.approx([1, 0, 1], abs=1e-6)
    assert np.isinf(result.samples["hole_psnr"]).all()


@pytest.mark.parametrize("config", [None, *CONFIGS], ids=lambda path: path.stem if path else "defaults")
def test_no_reported_judge_has_taught(config: Path | None) -> None:
    parameters = yaml.safe_load(config.read_text(encoding="utf-8"))["parameters"] if config else {}
    parameters.pop("retraining", None)  # of what stands beside it is the training
    settings = parse_settings(parameters, "test")
    if not isinstance(settings.training.losses, TeacherSettings):
        assert not settings.promotion.judges, "where no network teaches, none judges"
        return
    loss = ReconstructionLoss(settings.training.losses)
    teachers = {f"lpips_{loss.lpips.backbone}"} if loss.lpips else set()
    teachers |= {loss.identity.name} if loss.identity else set()
    assert not {*settings.evaluation.judges, *settings.promotion.judges} & teachers


@pytest.mark.parametrize("settings", [InpaintingEvaluationSettings(), InpaintingPromotionSettings()])
def test_the_default_judge_of_identity_cannot_teach(
    settings: InpaintingEvaluationSettings | InpaintingPromotionSettings,
) -> None:
    assert not load_identity(settings.identity_network).teaches
