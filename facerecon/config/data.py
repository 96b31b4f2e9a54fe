"""Where the photographs come from and who is in which split."""

from pydantic import Field, model_validator

from facerecon.config.base import Settings, Share


class SplitShares(Settings):
    """Shares of the identities, not of the photos; they sum to 1."""

    train: Share = 0.7
    val: Share = 0.1
    gate: Share = 0.1
    test: Share = 0.1

    @model_validator(mode="after")
    def _sum_to_one(self) -> "SplitShares":
        total = self.train + self.val + self.gate + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four shares sum to {total:g}, they must sum to 1")
        return self


class DataSettings(Settings):
    """Where the faces come from. A relative ``path`` starts at the project's root."""

    source: str = Field("folder", description="layout on disk: a name from facerecon.data.sources")
    path: str = Field("data/sample", min_length=1)
    licence: str = Field("unknown", description="licence of the photographs, printed in the model card")
    max_faces: int | None = Field(None, ge=1, description="keep only so many photos, chosen by hash; null keeps all")
    splits: SplitShares = Field(default_factory=SplitShares)
