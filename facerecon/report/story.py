"""What there is to tell about one run, the same for the report and the model card."""

from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from facerecon.models import ReconstructionModel, build_model
from facerecon.models.layers.face_prior import FacePrior
from facerecon.report.tables import PART_FAMILIES

LIMITS = (
    "A reconstruction is a plausible guess. It is not evidence of who a person is: the network invents what it "
    "cannot see, and paints the same for everyone who looks alike outside the hole.",
    "Identity figures say how alike a network finds two pictures. They are no probability that it is the same person.",
    "The figures hold for these frozen masks on this test split. Real occlusions, other cameras, other "
    "compression, other poses and other people can give others.",
    "± is the spread (standard deviation) over faces, not the uncertainty of the mean. Photographs of one person "
    "are not independent, so the number of people counts more than the number of faces.",
    "PSNR rewards blur: a reconstruction can have the better PSNR and look worse. Read it beside LPIPS.",
    "Nothing here measures whether the model serves groups of people equally well.",
)
"""What no report's figures say."""

CONFIDENCE_LIMIT = (
    "Confidence is learned on training faces. On pictures unlike those it can be wrong and sure of itself."
)
PRIOR_LIMIT = (
    "Holes are first filled with what the training faces have in common, place by place: faces that are aligned "
    "otherwise, and people unlike those, are filled worse, and all are drawn towards the mean of those."
)
ATTENTION_LIMIT = (
    "Attention maps show how strongly the network's gates let features through. They do not explain why it paints what "
    "it paints."
)


@dataclass(frozen=True)
class Story:
    """All that the report and the model card tell about one run.

    ``name`` and ``settings`` are the config's (``RunSettings.model_dump(mode="json")``), ``figures`` and ``samples``
    an ``Evaluation``'s, ``history`` the training's curves, ``counts`` the manifest's, ``expectations`` the outcomes of
    the data's validation (``DataDocs.summary``), ``quarantine`` photos by reason, ``licences`` photos by their own
    licence (where the source gives each one), ``export`` an ``ExportedModel``'s report, ``weights`` the rows of
    ``facerecon.weights.table``. ``decision`` and ``comparison`` are the promotion's: the decision with its checks,
    scores and differences, and gate faces (level, original, mask, challenger, champion) of length 0, or no keys, where
    there was no other champion. ``provenance`` is printed as it is.
    """

    name: str
    settings: dict[str, Any]
    figures: dict[str, Any]
    samples: dict[str, NDArray[Any]]
    comparison: dict[str, NDArray[Any]]
    history: list[dict[str, float]]
    counts: dict[str, int]
    expectations: list[dict[str, Any]]
    quarantine: dict[str, int]
    licences: dict[str, int]
    export: dict[str, Any]
    decision: dict[str, Any]
    provenance: dict[str, str]
    weights: list[dict[str, Any]]

    @property
    def parameters(self) -> int:
        """The model's number of trained parameters."""
        return sum(parameter.numel() for parameter in self._model.parameters())

    @property
    def prior_values(self) -> int:
        """How many numbers the model takes from its faces untrained, at most: of few faces fewer. 0 without a prior."""
        priors = (module for module in self._model.modules() if isinstance(module, FacePrior))
        return sum(values.numel() for prior in priors for values in prior.buffers())

    @property
    def _model(self) -> ReconstructionModel:
        # the meta device has shapes and no values: nothing is drawn, nothing is allocated
        with torch.device("meta"):
            return build_model(self.settings["model"]["family"], self.settings["model"]["options"])

    @property
    def limits(self) -> tuple[str, ...]:
        """What the figures do not say; of confidence, prior and attention only where the model has them."""
        told = list(LIMITS)
        if self.figures["confidence"]:
            told.append(CONFIDENCE_LIMIT)
        if self.prior_values:
            told.append(PRIOR_LIMIT)
        if self.figures["model"]["attention"]:
            told.append(ATTENTION_LIMIT)
        return tuple(told)

    @property
    def used_weights(self) -> list[dict[str, str]]:
        """The pretrained weights this run rests on: name, use, licence, package and sha256, sorted by name."""
        losses, judges = self.settings["training"]["losses"], self.figures["judges"]
        uses: dict[str, list[str]] = {"face_landmarker": ["alignment"]}
        if losses["perceptual"]:
            uses.setdefault(f"lpips_{losses['perceptual_backbone']}", []).append("perceptual loss")
        if losses["identity"]:
            uses.setdefault(losses["identity_network"], []).append("identity loss")
        for figure, label in (("lpips", "LPIPS"), ("identity", "identity")):
            uses.setdefault(judges[figure]["network"], []).append(f"judge of {label}")
        gate = self.settings["promotion"]
        for network, label in ((f"lpips_{gate['lpips_backbone']}", "LPIPS"), (gate["identity_network"], "identity")):
            uses.setdefault(network, []).append(f"judge of {label} at the gate")
        known = {row["name"]: row for row in self.weights}
        unknown = {"licence": "not recorded: supplied by the user", "package": "–", "sha256": "–"}
        return [
            {"name": name, "use": ", ".join(use)}
            | {key: str(known.get(name, unknown)[key]) for key in ("licence", "package", "sha256")}
            for name, use in sorted(uses.items())
        ]

    @property
    def losses(self) -> list[str]:
        """The terms of the training loss with their weights, for example ``hole × 6``; none that weighs nothing."""
        return [
            f"{name.replace('_', ' ')} × {weight:g}"
            for name, weight in self.settings["training"]["losses"].items()
            if isinstance(weight, int | float) and weight and not name.endswith("_interval")
        ]

    @property
    def origins(self) -> dict[str, str]:
        """The provenance, after the figures' own digests where it does not name them already."""
        figures = self.figures
        digests = {
            "weights": figures["model"]["weights"],
            "manifest": figures["data"],
            "evaluation masks": figures["masks"],
        }
        told = set(self.provenance.values())
        return {key: value for key, value in digests.items() if value not in told} | self.provenance

    def never_trained(self, family: str) -> bool:
        """Whether masks of this family took no part in the training."""
        if family.startswith(PART_FAMILIES):
            return not self.settings["masks"]["feature_share"]
        return family not in self.settings["masks"]["training_families"]
