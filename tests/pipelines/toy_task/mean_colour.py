"""A task in one module: the mean colour of a photograph, estimated from the crop of the face in it.

It has no mask, its output is a vector, less is better, and its truth is an array that its own source declares.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.utils.data import Dataset

from facerecon.contract import Signature, Value, register_signature
from facerecon.data.datasets import Draw, evaluation_faces, to_tensor
from facerecon.data.manifest import Manifest
from facerecon.data.sources import Photo, image_files, register_source
from facerecon.errors import FaceReconError
from facerecon.evaluation.evaluation import Details, Evaluation, ModelFacts
from facerecon.evaluation.keys import Metric, MetricKey
from facerecon.evaluation.promotion import GATE, MODEL, Guard, PromotionSettings, Rule
from facerecon.evaluation.scores import Scores
from facerecon.evaluation.settings import EvaluationSettings
from facerecon.files import atomic_path, sha256_bytes
from facerecon.models import build_model, register_model
from facerecon.models.settings import ModelSettings
from facerecon.models.trained import Row, TrainedModel
from facerecon.randomness import generator, unit_interval
from facerecon.report.base import TaskReport
from facerecon.settings import Settings as Base
from facerecon.tasks import Cases, Gate, Task, register_task
from facerecon.tasks.settings import TaskSettings
from facerecon.training.objective import Objective, Progress, check_finite
from facerecon.training.settings import LoopSettings

ERROR = Metric(name="colour_error", label="colour error", higher_is_better=False)
"""Mean absolute error of the three channels, each in [0, 1]."""

CASES = ("plain", "shifted")
BASELINE = "mean_of_training"

COLOUR = "colour"
"""The truth beside each crop, [3] in [0, 1]: the mean of its photograph's pixels, RGB."""

# the source: photographs in folders of people, and the truth beside each


def truth(root: Path, uri: str) -> dict[str, NDArray[np.float32]]:
    """The arrays beside a photograph."""
    image = cv2.imread(str(root / uri))
    return {COLOUR: (image[..., ::-1].mean(axis=(0, 1)) / 255).astype(np.float32)}


@register_source(truth=truth)
def photos_with_colours(root: Path, place: Any) -> Iterator[Photo]:
    """Every image; the first subfolder names the person."""
    for path in image_files(root):
        uri = path.relative_to(root).as_posix()
        yield Photo(uri, identity=uri.partition("/")[0])


# the network


class ColourOptions(Base):
    """``width``: channels of the encoder."""

    width: int = Field(8, ge=4, le=64)


class ColourNetwork(nn.Module):
    """An encoder of crops and a head that says a colour."""

    def __init__(self, options: ColourOptions) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, options.width, 3, stride=2, padding=1), nn.ReLU())
        self.head = nn.Linear(options.width, 3)

    def forward(self, image: Tensor) -> Tensor:
        """Colours [N, 3] in (0, 1) of images [N, 3, H, W] in [-1, 1]."""
        return torch.sigmoid(self.head(self.encoder(image).mean(dim=(2, 3))))


@register_model(ColourOptions, task="mean_colour")
def colour_network(options: ColourOptions) -> ColourNetwork:
    """Build the network."""
    return ColourNetwork(options)


# settings


class ColourTraining(LoopSettings):
    """Two networks, two rates."""

    encoder_rate: float = Field(1e-3, gt=0)
    head_rate: float = Field(1e-2, gt=0)


class ColourPromotion(PromotionSettings):
    """The gate key is the error on plain crops; a model must be better than the mean of the training faces, too."""

    margin: float = Field(0.0, ge=0)
    least_gain: float = Field(-1.0, description="over the mean of the training faces, on average")


class Settings(TaskSettings):
    """The task's part of a run's settings."""

    model: ModelSettings = Field(default_factory=lambda: ModelSettings(family="colour_network"))
    training: ColourTraining = Field(default_factory=ColourTraining)
    promotion: ColourPromotion = Field(default_factory=ColourPromotion)


class CasesPart(Base):
    """Freezing needs no settings."""


class TrainingPart(Base):
    """What a training needs."""

    model: ModelSettings
    training: ColourTraining
    seed: int


class EvaluationPart(Base):
    """What the evaluation needs."""

    evaluation: EvaluationSettings


class GatePart(Base):
    """What the gate needs."""

    promotion: ColourPromotion


# frozen cases: by how much a crop is shifted


@dataclass(frozen=True)
class Shifts(Cases):
    """Shifts int64 [K, 2] in pixels, of which a face gets one by hash."""

    place: Path
    shifts: NDArray[np.int64]
    task = "mean_colour"

    @property
    def folder(self) -> Path:
        return self.place

    @property
    def digest(self) -> str:
        return sha256_bytes(self.shifts.tobytes())

    @property
    def description(self) -> dict[str, Any]:
        return {"file": "shifts.npy", "digest": self.digest}

    def apply(self, case: str, face: str, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The crop under a case."""
        if case == "plain":
            return crop
        rows, columns = self.shifts[int(unit_interval("shift", face) * len(self.shifts))].tolist()
        return np.roll(crop, (rows, columns), axis=(0, 1))


def freeze(settings: CasesPart, faces: Manifest, folder: Path) -> Shifts:
    """The shifts, written once."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "shifts.npy").is_file():
        with atomic_path(folder / "shifts.npy") as temporary:
            np.save(temporary, generator("shifts").integers(-8, 9, size=(16, 2)))
    return Shifts(folder, np.load(folder / "shifts.npy", allow_pickle=False))


def load(folder: Path, description: dict[str, Any]) -> Shifts:
    """The shifts of a description."""
    path = folder / description["file"]
    if not path.is_file():
        raise FaceReconError(f"{path} is missing: run the pipeline again")
    cases = Shifts(folder, np.load(path, allow_pickle=False))
    if cases.digest != description["digest"]:
        raise FaceReconError(f"{path} holds other shifts than were frozen: remove it")
    return cases


# training


@dataclass(frozen=True)
class Batch:
    """``image`` [N, 3, H, W] in [-1, 1], ``colour`` [N, 3]."""

    image: Tensor
    colour: Tensor

    def __len__(self) -> int:
        return len(self.image)

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.image.to(device), self.colour.to(device))

    def pin_memory(self) -> "Batch":
        return Batch(self.image.pin_memory(), self.colour.pin_memory())


class Faces(Dataset[tuple[Tensor, Tensor]]):
    """Crops and colours of the training faces."""

    def __init__(self, manifest: Manifest) -> None:
        self.store = manifest.aligned_faces
        self.names = manifest.split("train")["face"].tolist()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        face = self.names[draw.index]
        return to_tensor(self.store.crop(face)), torch.from_numpy(self.store.truth(face, COLOUR))


class ColourObjective(Objective):
    """Encoder and head learn at rates of their own."""

    def __init__(self, network: ColourNetwork, settings: ColourTraining, fabric: Fabric) -> None:
        self.settings, self.fabric, self.network = settings, fabric, network
        encoder = torch.optim.AdamW(network.encoder.parameters(), settings.encoder_rate)
        head = torch.optim.SGD(network.head.parameters(), settings.head_rate, momentum=0.9)
        self.wrapped, *optimizers = fabric.setup(network, encoder, head)
        self.modules = {"encoder": network.encoder, "head": network.head}
        self.optimizers = dict(zip(("encoder", "head"), optimizers, strict=True))

    @property
    def module(self) -> nn.Module:
        return self.network

    def learning_rates(self) -> Mapping[str, float]:
        return {"learning_rate/encoder": self.settings.encoder_rate, "learning_rate/head": self.settings.head_rate}

    def step(self, batches: Sequence[Batch], progress: Progress) -> Mapping[str, Tensor]:
        for batch in batches:
            loss = (self.wrapped(batch.image) - batch.colour).abs().mean()
            check_finite("loss", loss, {}, progress.step)
            self.fabric.backward(loss / len(batches))
        for optimizer in self.optimizers.values():
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return {"total": loss.detach()}


class ColourProblem:
    """The task for the training loop."""

    checkpoint_metric = ERROR
    checkpoint_key = f"val/{ERROR.name}/plain"

    def __init__(
        self, settings: TrainingPart, faces: Manifest, cases: Shifts, initial: TrainedModel | None = None
    ) -> None:
        self.settings, self.manifest, self.cases, self.initial = settings, faces, cases, initial
        self.training, self.seed = settings.training, settings.seed

    def dataset(self) -> Faces:
        return Faces(self.manifest)

    def sources(self) -> Sequence[str]:
        return self.manifest.split("train")["source"].tolist()

    def collate(self, samples: Sequence[tuple[Tensor, Tensor]]) -> Batch:
        images, colours = zip(*samples, strict=True)
        return Batch(torch.stack(images), torch.stack(colours))

    def objective(self, fabric: Fabric, new: bool) -> ColourObjective:
        network = build_model(self.settings.model.family, self.settings.model.options)
        if new and self.initial is not None:
            network.load_state_dict(self.initial.weights)
        return ColourObjective(network, self.training, fabric)

    def validate(self, module: nn.Module, device: torch.device) -> Row:
        scores = measure("val", {MODEL: module}, self.manifest, self.cases, self.training.validation_faces, ("plain",))
        error = scores.mean(MetricKey("val", ERROR.name, "plain"), MODEL)
        assert error is not None
        return {self.checkpoint_key: error}

    def trained(self, module: nn.Module, step: int) -> TrainedModel:
        model = self.settings.model
        weights = {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}
        options = model.options.model_dump(mode="json")
        return TrainedModel(model.family, options, self.manifest.size, step, weights, task="mean_colour")

    def finish(self, best: TrainedModel, device: torch.device) -> TrainedModel:
        return best


problem = ColourProblem


# evaluation and gate


@torch.inference_mode()
def measure(
    split: str, methods: Mapping[str, Any], manifest: Manifest, cases: Shifts, most: int, names: Sequence[str] = CASES
) -> Scores:
    """The errors of networks, and of constant colours, on a split."""
    faces, scores = evaluation_faces(manifest, split, most), Scores()
    if not len(faces):
        raise FaceReconError(f"the {split} split has no face: give more people, or raise data.splits.{split}")
    truth = np.stack([manifest.aligned_faces.truth(face, COLOUR) for face in faces.faces])
    for case in names:
        pairs = zip(faces.faces, faces.images, strict=True)
        images = torch.stack([to_tensor(cases.apply(case, face, crop)) for face, crop in pairs])
        for method, said in methods.items():
            colour = said(images).numpy() if isinstance(said, nn.Module) else said
            errors = np.abs(np.broadcast_to(colour, truth.shape).astype(np.float64) - truth).mean(axis=1)
            scores.add(MetricKey(split, ERROR.name, case), method, faces.faces, errors)
    return scores


def mean_of_training(manifest: Manifest) -> NDArray[np.float64]:
    """The baseline: the mean colour [3] of the training faces' photographs."""
    faces = manifest.split("train")["face"]
    return np.mean([manifest.aligned_faces.truth(face, COLOUR) for face in faces], axis=0, dtype=np.float64)


def evaluate(
    settings: EvaluationPart,
    trained: TrainedModel,
    faces: Manifest,
    cases: Shifts,
    others: Mapping[str, TrainedModel] | None,
) -> Evaluation:
    """Errors on the test split beside the baseline."""
    network = trained.build()
    methods = {MODEL: network, BASELINE: mean_of_training(faces)}
    rows = evaluation_faces(faces, "test", settings.evaluation.max_faces).rows
    return Evaluation(
        model=ModelFacts.of(trained, network),
        faces=len(rows),
        identities=int(rows["identity"].nunique()),
        data=faces.digest,
        cases=cases.digest,
        metrics=(ERROR,),
        headline=(ERROR.name, "plain"),
        baseline=BASELINE,
        methods={MODEL: "model", BASELINE: "mean of training faces"},
        judges=(),
        scores=measure("test", methods, faces, cases, settings.evaluation.max_faces),
        details=Details(),
        samples={},
    )


DETAILS = Details


class ColourGate(Gate):
    """The gate's faces, and the baseline that the absolute guard names."""

    def __init__(self, settings: GatePart, faces: Manifest, cases: Shifts) -> None:
        self.faces, self.cases, self.promotion = faces, cases, settings.promotion
        rows = evaluation_faces(faces, GATE, settings.promotion.max_faces).rows
        self.identities = dict(zip(rows["face"], rows["identity"], strict=True))
        self.metrics = (ERROR,)
        guard = Guard("better than the mean", ERROR, "plain", -settings.promotion.least_gain, BASELINE, interval=False)
        self.rule = Rule(ERROR, "plain", settings.promotion, (guard,))

    def measure(self, trained: TrainedModel) -> Scores:
        methods = {MODEL: trained.build(), BASELINE: mean_of_training(self.faces)}
        return measure(GATE, methods, self.faces, self.cases, self.promotion.max_faces)


gate = ColourGate


# export and report

SIGNATURE = register_signature(
    Signature(
        "mean_colour",
        inputs=(Value("image", ("N", 3, "H", "W"), -1, 1),),
        outputs=(Value("colour", ("N", 3), 0, 1),),
    )
)


def contract(trained: TrainedModel) -> nn.Module:
    """The network itself."""
    return trained.build()


def example(trained: TrainedModel) -> dict[str, NDArray[np.float32]]:
    """A black picture."""
    return SIGNATURE.zeros(N=1, H=trained.size, W=trained.size)


def parity_inputs(faces: Manifest, cases: Shifts, count: int) -> dict[str, NDArray[np.float32]]:
    """Faces of the val split."""
    images = evaluation_faces(faces, "val", count).images
    return {"image": np.stack([to_tensor(image).numpy() for image in images])}


class ColourReport(TaskReport):
    """Plain, but for its purpose."""

    purpose = "says the mean colour of a photograph from the face in it"


REPORT = ColourReport()

register_task(
    Task(
        name="mean_colour",
        module=__name__,
        fields={
            "cases": (),
            "training": ("model", "training", "seed"),
            "evaluation": ("evaluation",),
            "gate": ("promotion",),
        },
        modules={},
    )
)
