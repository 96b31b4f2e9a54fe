"""A retraining's settings: those of a training, and what is done with new footage. Imports no torch."""

from functools import lru_cache
from typing import Any, cast

from pydantic import Field, create_model

from facerecon.data.collected.inbox import InboxSettings
from facerecon.data.collected.settings import CollectSettings
from facerecon.data.settings import DataSettings
from facerecon.run import RunSettings, run_settings, validated
from facerecon.settings import Settings
from facerecon.telling import TellingSettings
from facerecon.training.settings import SourceShare
from facerecon.workspace import collected_folder

COLLECTED = "collected"
"""What the source of collected faces is called, and its layout."""


class DecisionSettings(Settings):
    """When retraining is worth it: enough new people, and a probe that promises enough."""

    min_people: int = Field(20, ge=1, description="new people in train that the champion did not learn from")
    min_probe_gain: float = Field(
        0.15, description="low end of the probe's interval, in its unit; the family must have something to refit"
    )
    max_age_days: float | None = Field(
        None, gt=0, description="a champion older than this is retrained on whoever is new, whatever the probe says"
    )
    force: bool = Field(False, description="retrain if anybody is new, whatever else")


class RetrainingSettings(Settings):
    """What is done with new footage.

    A retraining starts from the champion. It takes the share ``work`` of a full training's work, ``peak`` of its
    highest learning rate after at most ``warmup_steps``; ``new_share`` of the faces in its batches are collected ones.
    """

    inbox: InboxSettings = Field(default_factory=InboxSettings)
    collect: CollectSettings = Field(default_factory=CollectSettings)
    decision: DecisionSettings = Field(default_factory=DecisionSettings)
    new_share: float = Field(0.5, gt=0, lt=1)
    work: float = Field(0.5, gt=0, le=2)
    peak: float = Field(0.5, gt=0, le=1)
    warmup_steps: int = Field(20, ge=0)
    telling: TellingSettings = Field(default_factory=TellingSettings)
    max_hours: float | None = Field(24, gt=0, description="a run that takes longer is ended; null: never")


class RetrainingRun(RunSettings):
    """What stands under ``parameters:`` in a file for the pipeline ``retraining``."""

    retraining: RetrainingSettings = Field(default_factory=RetrainingSettings)

    @property
    def collected(self) -> DataSettings:
        """The source of the faces that were collected."""
        licence, folder = self.retraining.collect.licence, collected_folder().name
        return DataSettings(name=COLLECTED, source=COLLECTED, path=folder, licence=licence, splits=self.data[0].splits)

    def training_run(self, champion: str | None) -> RunSettings:
        """The settings of the training: on all sources, old and collected, and from ``champion`` if there is one.

        Raises:
            FaceReconError: an old source is called as the collected one is, or the licences are too long together.
        """
        made: type[RunSettings] = run_settings(self.task)
        values = self.model_dump(mode="json", exclude={"retraining", "data"})
        sources = [source.model_dump(mode="json") for source in (*self.data, self.collected)]
        plain = validated(made, {**values, "data": sources}, "settings")
        if champion is None:
            return plain
        chosen = self.retraining
        warm = plain.warm_started(chosen.work, chosen.peak, chosen.warmup_steps)
        share = SourceShare(source=COLLECTED, share=chosen.new_share)
        training = warm.training.model_copy(update={"init_from": champion, "source_share": share})
        return cast(RunSettings, warm.model_copy(update={"training": training}))


@lru_cache
def retraining_run(task: str) -> type[RetrainingRun]:
    """The class of a retraining's settings for a task. FaceReconError if there is no such task."""
    made: Any = create_model("RetrainingRun", __base__=(run_settings(task), RetrainingRun), __module__=__name__)
    return cast(type[RetrainingRun], made)
