"""A manifest of faces that are no more than blobs, frozen masks for them, and what there is to tell about one run."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from facerecon import models
from facerecon.corruption.frozen import MaskSet, build_mask_set
from facerecon.corruption.masks import draw_mask
from facerecon.data.manifest import FACE_COLUMNS, PHOTO_COLUMNS, Manifest
from facerecon.data.store import MEASURES, AlignedFace, AlignedPhoto, FaceStore, Measures
from facerecon.experiment import Experiment
from facerecon.files import sha256_bytes
from facerecon.models import build_model
from facerecon.models.trained import Row, TrainedModel, TrainingResult
from facerecon.report import Story
from facerecon.run import RunSettings, parse_settings
from facerecon.tasks import get_task
from facerecon.tasks.inpainting.cases import MaskCases

SIZE = 64
COUNTS = {"train": 8, "val": 3, "gate": 2, "test": 3}


def blob_points68() -> np.ndarray:
    """68 points [68, 2] in pixels of a 64 px crop, where a face's parts lie when it is cut as the project cuts it."""
    points = np.zeros((68, 2), np.float32)
    angles = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([32 + 19 * np.cos(angles), 32 + 24 * np.sin(angles)], axis=1)
    points[17:22] = np.stack([np.linspace(16, 28, 5), np.full(5, 24)], axis=1)
    points[22:27] = np.stack([np.linspace(36, 48, 5), np.full(5, 24)], axis=1)
    points[27:31] = np.stack([np.full(4, 32), np.linspace(29, 39, 4)], axis=1)
    points[31:36] = np.stack([np.linspace(28, 36, 5), np.full(5, 41)], axis=1)
    ring = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for start, count, x, y, width in ((36, 6, 23, 30, 4), (42, 6, 41, 30, 4), (48, 20, 32, 47, 8)):
        around = ring[:count] * 20 / count
        points[start : start + count] = np.stack([x - width * np.cos(around), y + width / 2 * np.sin(around)], axis=1)
    return points


def blob_face(rng: np.random.Generator) -> np.ndarray:
    """A smooth image uint8 [64, 64, 3] with a bright oval, two dark dots and a dark line where the points say."""
    ground = cv2.resize(rng.uniform(20, 120, (4, 4, 3)).astype(np.float32), (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    skin = rng.uniform(120, 230, 3).tolist()
    cv2.ellipse(ground, (32, 34), (19, 25), 0, 0, 360, skin, -1)
    for x in (23, 41):
        cv2.circle(ground, (x, 30), 3, (30, 30, 30), -1)
    cv2.line(ground, (26, 47), (38, 47), (90, 20, 20), 3)
    return np.clip(cv2.GaussianBlur(ground, (0, 0), 1), 0, 255).astype(np.uint8)


def write_blobs(store: Path, counts: dict[str, int]) -> Manifest:
    """A manifest of so many blobs per split, each of a person of its own, aligned in ``store``."""
    rows, photos = [], []
    for number, split in enumerate(split for split, count in counts.items() for _ in range(count)):
        shift = np.random.default_rng(number).integers(-4, 5, 2)
        image = np.roll(blob_face(np.random.default_rng(number)), shift, axis=(1, 0))
        points = blob_points68() + shift.astype(np.float32)
        sha = sha256_bytes(f"photo {number}".encode())
        five = np.array([points[36:42].mean(0), points[42:48].mean(0), points[33], points[48], points[54]], np.float32)
        phash, parts = np.full(8, number, np.uint8), np.zeros((SIZE, SIZE), np.uint8)
        measures = Measures(*[0.0] * len(MEASURES))
        face = AlignedFace(image, five, points, np.zeros((478, 3), np.float32), phash, parts, measures)
        photos.append(AlignedPhoto(sha, None, [face]))
        photo = (sha, f"{sha}.png", sha, "blobs", f"person {number}", split, "")
        no_clip = ("", "", -1, np.nan, "", np.nan, np.nan)
        digests = (sha256_bytes(image.tobytes()), phash.tobytes().hex())
        rows.append((*photo, *no_clip, *digests, *([0.0] * len(MEASURES))))
    FaceStore.write(store, photos)
    faces = pd.DataFrame(rows, columns=[*PHOTO_COLUMNS, *FACE_COLUMNS])
    return Manifest(root="blobs", faces=faces, store=str(store), size=SIZE)


@pytest.fixture(scope="session")
def tiny_manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """16 blobs of 16 people at 64 px: 8 to train, 3 val, 2 gate, 3 test. Do not write to its store."""
    return write_blobs(tmp_path_factory.mktemp("blobs"), COUNTS)


@pytest.fixture(scope="session")
def tiny_model() -> TrainedModel:
    """An untrained attention U-Net of 4 and 8 channels, as if it had been trained for one step at 64 px."""
    return untrained({"features": [4, 8]}, seed=0)


def untrained(options: dict[str, Any], seed: int, family: str = "unet_attention", size: int = SIZE) -> TrainedModel:
    """Fresh weights of a family, with statistics of batch normalisations that are not those of a fresh network."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build_model(family, options)
        for name, value in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                value.copy_(torch.rand_like(value) + 0.5)
    weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
    return TrainedModel(family, options, size, 1, weights)


@pytest.fixture(scope="session")
def tiny_masks(tmp_path_factory: pytest.TempPathFactory) -> MaskSet:
    """Eight frozen masks of each level, brush and held out, at 64 px."""
    return build_mask_set(tmp_path_factory.mktemp("masks"), SIZE, ["brush", "held_out"], [1, 2, 3], count=8)


TINY = {"family": "unet_fill", "options": {"features": [4, 8], "prior_grid": 8, "prior_components": 4}}


@pytest.fixture(scope="session")
def train_blobs(tiny_manifest: Manifest, tiny_masks: MaskSet) -> Callable[..., TrainingResult]:
    """``train_blobs(folder, training, ...)`` trains inpainting on the blobs.

    What ``training`` does not say: seven steps of four faces, validation every second one, the pixel terms only.
    """
    few = {"steps": 7, "batch_size": 4, "warmup_steps": 2, "validate_every": 2}
    few |= {"losses": {"perceptual": 0, "identity": 0}, "accelerator": "cpu", "threads": 1, "precision": "32-true"}

    def train(
        folder: Path,
        training: dict[str, Any] | None = None,
        *,
        manifest: Manifest = tiny_manifest,
        model: dict[str, Any] = TINY,
        seed: int = 0,
        masks: dict[str, Any] | None = None,
        initial: TrainedModel | None = None,
        log: Callable[[Row], None] = lambda row: None,
    ) -> TrainingResult:
        given = {"model": model, "training": few | (training or {}), "masks": masks or {}, "seed": seed}
        values = parse_settings(given, "test").values(*get_task("inpainting").fields["training"])
        experiment = Experiment("inpainting", values, manifest, MaskCases(tiny_masks), initial)
        return experiment.train(folder, experiment.provenance, log)

    return train


@pytest.fixture(scope="session")
def undisturbed(train_blobs: Callable[..., TrainingResult], tmp_path_factory: pytest.TempPathFactory) -> TrainingResult:
    """A training of the blobs that others are compared with."""
    return train_blobs(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def registry() -> Iterator[None]:
    """Families registered by a test are forgotten after it."""
    for name in models.list_models():  # a module registers its family once, when it is first imported
        models.find_family(name)
    before = dict(models._FAMILIES)
    yield
    models._FAMILIES.clear()
    models._FAMILIES.update(before)


STORY_PSNR = {"model": (17.44, 18.62, 17.41), "telea": (18.36, 17.68, 16.83), "mean_fill": (14.04, 13.53, 12.97)}
"""Mean hole PSNR at levels 1, 2, 3 in a story: the model is worse than Telea at level 1 and better at 2 and 3."""


def story_summary(mean: float | None, infinite: int = 0, faces: int = 12) -> dict[str, Any]:
    """A mean with its spread, as it stands in the figures."""
    return {"mean": mean, "std": None if mean is None else 2.1, "n": faces, "infinite": infinite}


def story_rows(family: str, levels: tuple[int | None, ...]) -> list[dict[str, Any]]:
    """All methods' rows under one mask family."""
    rows = []
    for place, level in enumerate(levels):
        about = {"family": family, "level": level, "hole_ratio": 0.2013}
        for method, psnr in STORY_PSNR.items():
            figures = {key: story_summary(psnr[place] / 50) for key in ("ssim", "lpips", "identity")}
            figures |= {"whole_psnr": story_summary(psnr[place] + 5), "hole_psnr": story_summary(psnr[place])}
            rows.append({"method": method, **about, **figures})
        rows.append({"method": "masked_input", **about, "identity": story_summary(0.1234)})
    return rows


def story_confidence() -> dict[str, Any]:
    """Confidence that is worth something under brush masks of level 1 and 2, and nothing at level 3."""
    figures = {"brier": 0.2137, "brier_constant": 0.2391, "rank_correlation": 0.3512, "calibration_error": 0.0417}
    figures |= {"mean_confidence": 0.6213, "share_right": 0.6049, "pixels": 123_456, "faces": 12}
    places = [("brush", 1), ("brush", 2), ("brush", 3), ("held_out", 1), ("features/left_eye", None)]
    rows = [{"family": family, "level": level, **figures} for family, level in places]
    rows[2] |= {"brier": 0.25, "rank_correlation": None}
    bins = []
    for number in range(10):
        middle = None if number < 2 else number / 10 + 0.05
        pixels = 0 if number < 2 else 100 * number
        right = None if middle is None else middle - 0.04
        bins.append({"low": number / 10, "high": number / 10 + 0.1, "pixels": pixels, "mean_confidence": middle})
        bins[-1]["share_right"] = right
    reliability = [{"family": family, "level": level, "bins": bins} for family, level in places]
    return {"threshold": 16, "rows": rows, "reliability": reliability}


def story_lighting() -> list[dict[str, Any]]:
    """Dark and bright faces at level 2; none of medium brightness."""
    ranges = {"dark": (0, 85), "bright": (170, 255)}
    return [
        {"condition": condition, "low": low, "high": high, "level": 2, "method": method, "faces": 5}
        | {"hole_psnr": story_summary(psnr[1] + (condition == "dark"), faces=5)}
        for method, psnr in STORY_PSNR.items()
        for condition, (low, high) in ranges.items()
        if method != "mean_fill"
    ]


def story_decision() -> dict[str, Any]:
    """Version 4 was refused: worse than version 3 under brush masks of level 1, not certainly worse elsewhere."""
    before = {f"brush/level_{k}": {"hole_psnr": 21.3 - k, "lpips": 0.2 * k, "identity": 0.5} for k in (1, 2, 3)}
    before["held_out/level_1"] = {"hole_psnr": 15.0}
    gaps = {"hole_psnr": -0.31, "lpips": -0.02, "identity": 0.01}
    challenger = {key: {name: value + gaps[name] for name, value in row.items()} for key, row in before.items()}
    places = [(key.partition("/")[0], int(key[-1]), name) for key, row in before.items() for name in row]
    differences = [
        {"family": family, "level": level, "metric": name, "difference": gaps[name], "identities": 7}
        | {"low": gaps[name] - 1 / width, "high": gaps[name] + 1 / width}
        for family, level, name in [("brush", None, "hole_psnr"), *places]
        for width in [5 if level == 1 else 2]
    ]
    return {
        "registered_model": "facerecon-tiny",
        "version": 4,
        "champion": False,
        "reason": "-0.310 dB of hole PSNR against version 3, 0.05 needed",
        "champion_version": 3,
        "rule": {"margin": 0.05, "confidence": 0.95, "lpips_backbone": "vgg", "identity_network": "dlib"},
        "checks": [
            {"name": "gain", "passed": False, "said": "-0.310 dB of hole PSNR against version 3, 0.05 needed"},
            {"name": "LPIPS no worse", "passed": True, "said": "LPIPS -0.0200; no more than 0.01 higher is allowed"},
        ],
        "challenger": challenger,
        "champion_before": before,
        "differences": differences,
    }


def story_samples(faces: int = 3, worst: int = 1, size: int = SIZE) -> dict[str, np.ndarray]:
    """Faces of coarse noise, so that files have a photograph's size, with reconstructions that are too bright."""
    count, rng = faces + worst, np.random.default_rng(0)
    levels = np.array([index % 3 + 1 for index in range(count)])
    masks = np.stack([draw_mask("brush", size, 0.2 * level, rng) for level in levels])
    original = (
        rng.integers(0, 256, (count, size // 8, size // 8, 3), dtype=np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    )
    hole = masks[..., None] == 1
    reconstructed = np.where(hole, (original.astype(int) + 40).clip(0, 255).astype(np.uint8), original)
    squared = (reconstructed.astype(float) - original) ** 2
    box = np.array([[8, 16, 56, 32], [24, 24, 40, 48], [16, 44, 48, 60]]) * size // SIZE
    return {
        "level": levels,
        "original": original,
        "mask": masks,
        "reconstructed": reconstructed,
        "telea": np.where(hole, np.uint8(128), original),
        "error": np.abs(reconstructed.astype(int) - original).mean(axis=3).round().astype(np.uint8),
        "confidence": np.where(masks == 1, np.uint8(51), np.uint8(255)),
        "kind": np.array(["typical"] * faces + ["worst"] * worst),
        "boxes": np.repeat(box[None], count, axis=0).astype(np.int16),
        "attention": np.stack([np.full_like(masks, 102), np.full_like(masks, 204)], axis=1),
        "hole_psnr": np.array(
            [10 * np.log10(255**2 / each[mask == 1].mean()) for each, mask in zip(squared, masks, strict=True)],
            np.float32,
        ),
    }


def story_expectations() -> list[dict[str, Any]]:
    """Two expectations that were met, and one that was not."""
    met = {"table": "faces", "success": True, "observed": "0 of 1270 values", "rows": [], "severity": "fail"}
    few = {"table": "splits", "success": False, "observed": "1 of 4 values such as 5", "rows": ["val<b>"]}
    return [
        met | {"expectation": "expect_column_values_to_be_unique(face)", "checked": True},
        met | {"expectation": "expect_column_values_to_not_be_null(yaw)", "checked": True},
        few | {"expectation": "expect_column_values_to_be_between(identities)", "severity": "warn", "checked": True},
    ]


def story_comparison(faces: int = 2, size: int = SIZE) -> dict[str, np.ndarray]:
    """Gate faces by two models: the champion's are exact."""
    samples = story_samples(max(faces, 1), 0, size)
    made = {name: samples[name] for name in ("level", "original", "mask")}
    made |= {"challenger": samples["reconstructed"], "champion": samples["original"]}
    return {name: array[:faces] for name, array in made.items()}


@pytest.fixture(scope="session")
def make_samples() -> Callable[..., dict[str, np.ndarray]]:
    """``make_samples(faces, worst, size)``: sample arrays of a report."""
    return story_samples


@pytest.fixture(scope="session")
def make_comparison() -> Callable[..., dict[str, np.ndarray]]:
    """``make_comparison(faces, size)``: comparison arrays of a promotion."""
    return story_comparison


@pytest.fixture(scope="session")
def make_story() -> Callable[..., Story]:
    """``make_story(**changes)``: all there is to tell about a run of 600 steps, fresh each time."""

    def make(**changes: Any) -> Story:
        settings = RunSettings(
            name="tiny",
            data={"source": "folder", "path": "data/sample", "licence": "CC0"},
            model={"options": {"features": [8, 16]}},
            masks={"training_families": ["brush", "noise"]},
        )
        figures = {
            "split": {"name": "test", "faces": 12, "identities": 5},
            "judges": {
                "lpips": {"network": "lpips_vgg", "in_loss": False},
                "identity": {"network": "sface", "in_loss": True},
            },
            "model": {"family": "unet_attention", "size": SIZE, "step": 400, "weights": "8f" * 32}
            | {"attention": ["1/2", "1/1"]},
            "data": "3a" * 32,
            "masks": "c4" * 32,
            "table": [
                row
                for family in ("boxes", "brush", "held_out", "features/left_eye")
                for row in story_rows(family, (None,) if "/" in family else (1, 2, 3))
            ],
            "confidence": story_confidence(),
            "lighting": story_lighting(),
        }
        history: list[dict[str, float]] = [
            {"step": step, "learning_rate": 1e-3 / step, "loss/total": 100 / step, "loss/hole": 10 / step}
            for step in range(50, 601, 50)
        ]
        for row in history[3::4]:
            row |= {f"val/hole_psnr_level_{k}": 20.0 - k for k in (1, 2, 3)} | {"val/hole_l1": 30 / row["step"]}
        latency = {"onnxruntime_ms": {"median": 6.31, "p95": 7.9}, "pytorch_ms": {"median": 11.82, "p95": 14.2}}
        weights = {"purpose": "p", "package": "p==1", "file": "f", "sha256": "5c", "path": "/home/x/f", "present": True}
        parts: dict[str, Any] = {
            "name": "tiny",
            "settings": settings.model_dump(mode="json"),
            "figures": figures,
            "samples": story_samples(),
            "comparison": story_comparison(),
            "history": history,
            "counts": {"train": 1234, "val": 11, "gate": 13, "test": 12, "identities": 77, "quarantined": 5},
            "expectations": story_expectations(),
            "quarantine": {"no face found": 3, "cannot be decoded": 2},
            "licences": {},
            "export": {"bytes": 7_823_411, "faces": 8, "threads": 2, "latency": latency}
            | {"parity_psnr": {"reconstruction": 131.24, "confidence": None}},
            "decision": story_decision(),
            "provenance": {"git commit": "b7e1" * 10, "seed": "0"},
            "weights": [
                {"name": name, "licence": f"licence of {name}", **weights}
                for name in ("face_landmarker", "lpips_alex", "lpips_vgg", "sface")
            ],
        }
        return Story(**(parts | changes))

    return make


@pytest.fixture(scope="session")
def bare_story(make_story: Callable[..., Story], make_samples: Callable[..., dict[str, np.ndarray]]) -> Story:
    """A run with no optional part: no prior, confidence, attention, lighting, champion, comparison, no worst case."""
    samples = make_samples(worst=0)
    samples["attention"] = samples["attention"][:, :0]
    samples["confidence"] = np.full_like(samples["confidence"], 255)
    first = {"champion": True, "champion_version": None, "champion_before": None, "reason": "it is the first"}
    decision = story_decision() | first | {"checks": [], "differences": []}
    story = make_story(samples=samples, comparison={}, decision=decision, expectations=[])
    story.figures.update(confidence=None, lighting=[])
    story.figures["model"]["attention"] = []
    story.settings["model"]["options"] |= {"first_fill": "none"}
    return story
