"""Which masks are drawn."""

from collections import Counter
from typing import Literal

from pydantic import Field, model_validator

from facerecon.corruption.curriculum import Curriculum
from facerecon.corruption.masks import EVALUATION_FAMILIES, TRAINING_FAMILIES
from facerecon.settings import Settings, Share

Level = Literal[1, 2, 3]


class MaskSettings(Settings):
    """Which masks are trained on and evaluated."""

    training_families: tuple[str, ...] = ("brush", "boxes", "noise", "scatter")
    feature_share: Share = Field(0.1, description="share of training masks that hide a part of the face")
    evaluation_families: tuple[str, ...] = ("brush", "boxes", "noise", "scatter", "held_out")
    evaluate_features: bool = Field(True, description="also report eyes, brows, nose, mouth and jaw, each alone")
    levels: tuple[Level, ...] = Field((1, 2, 3), min_length=1)
    count: int = Field(256, ge=8, le=4096, description="frozen evaluation masks per level and family")
    curriculum: Curriculum = Field(default_factory=Curriculum)
    seed: int = Field(0, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _known_families(self) -> "MaskSettings":
        for key, chosen, known in (
            ("training_families", self.training_families, TRAINING_FAMILIES),
            ("evaluation_families", self.evaluation_families, EVALUATION_FAMILIES),
        ):
            if unknown := sorted(set(chosen) - set(known)):
                raise ValueError(f"{key}: {', '.join(unknown)} not among {', '.join(known)}")
        for key in ("training_families", "evaluation_families", "levels"):
            if twice := [str(one) for one, count in Counter(getattr(self, key)).items() if count > 1]:
                raise ValueError(f"{key}: {', '.join(twice)} stands there more than once: name each once")
        if not self.training_families:
            raise ValueError("training_families: name at least one")
        if "brush" not in self.evaluation_families:
            raise ValueError("evaluation_families: must contain 'brush', on which checkpoints and promotion decide")
        return self
