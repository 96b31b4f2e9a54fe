"""Which degradations are trained on and evaluated. Imports no torch."""

from collections import Counter

from pydantic import Field, model_validator

from facerecon.corruption.presets import EVALUATION_PRESETS, TRAINING_PRESETS
from facerecon.settings import Settings, Share


class DegradationSettings(Settings):
    """Presets by name, and how they are met in training."""

    training: tuple[str, ...] = Field(("mild", "motion", "gfpgan"), min_length=1)
    evaluation: tuple[str, ...] = Field(("mild", "motion", "gfpgan", "cctv"), min_length=1)
    curriculum: Share = Field(
        0.5, description="share of the training's work over which severity rises from 0 to 1; 0: it is 1 throughout"
    )
    clean_share: Share = Field(0.1, description="share of training images that are left as they are")
    faces: int = Field(400, ge=1, description="so many faces of each split at most are degraded and frozen")
    seed: int = Field(0, ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _known_presets(self) -> "DegradationSettings":
        for key, allowed in (("training", TRAINING_PRESETS), ("evaluation", EVALUATION_PRESETS)):
            chosen = getattr(self, key)
            if unknown := [name for name in chosen if name not in EVALUATION_PRESETS]:
                raise ValueError(f"{key}: {', '.join(unknown)} not among {', '.join(allowed)}")
            if kept := [name for name in chosen if name not in allowed]:
                raise ValueError(
                    f"{key}: {', '.join(kept)} is for evaluation only (H.264 is never trained on, so that it "
                    f"measures what was never seen): choose from {', '.join(allowed)}"
                )
            if twice := [name for name, count in Counter(chosen).items() if count > 1]:
                raise ValueError(f"{key}: {', '.join(twice)} stands there more than once: name each once")
        return self

    def severity_at(self, progress: float) -> float:
        """The severity in [0, 1] at ``progress``, the share of the run that is done, in [0, 1] (else ValueError)."""
        if not 0 <= progress <= 1:
            raise ValueError(f"progress is the share of the run that is done, 0 to 1, not {progress}")
        return 1.0 if progress >= self.curriculum else progress / self.curriculum
