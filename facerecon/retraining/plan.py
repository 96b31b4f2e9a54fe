"""Whether to retrain, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from facerecon.data.manifest import SPLITS
from facerecon.evaluation.probe import Probe
from facerecon.retraining.drift import Drift
from facerecon.retraining.settings import DecisionSettings
from facerecon.settings import Settings


class Plan(Settings):
    """What is done and why.

    ``kind``: ``first`` trains the first model, ``retraining`` starts from the champion, ``nothing`` trains none.
    ``new_people`` counts, by split, collected people whom the champion did not learn from. ``parent`` is the champion
    ("" without one).
    """

    kind: Literal["first", "retraining", "nothing"]
    reason: str
    parent: str = ""
    new_people: dict[str, int] = Field(default_factory=dict)
    probe: Probe | None = None
    drift: tuple[Drift, ...] = ()

    @property
    def trains(self) -> bool:
        """Whether a model is trained."""
        return self.kind != "nothing"

    @property
    def said(self) -> str:
        """The decision in a line."""
        word = {"first": "train the first model", "retraining": "retrain", "nothing": "no retraining"}[self.kind]
        return f"{word}: {self.reason}"


@dataclass(frozen=True)
class Parent:
    """The champion: its ``name`` (``demo/3``), its ``age`` in days, the run that trained on today's data, code and
    settings from it (``trained_in``, "" if none did), and why it cannot be said whom it learned from (``unknown``)."""

    name: str
    age: float
    trained_in: str = ""
    unknown: str = ""


def decide(
    settings: DecisionSettings,
    parent: Parent | None,
    new_people: dict[str, int],
    probe: Callable[[], Probe | None],
    drift: tuple[Drift, ...] = (),
) -> Plan:
    """Decide. ``new_people`` are as in ``Plan``; the ``probe`` is asked only where its answer counts."""
    if parent is None:
        return Plan(kind="first", reason="there is no champion yet", new_people=new_people, drift=drift)
    train = new_people.get("train", 0)
    told = f"{train} new people in train"
    found: Probe | None = None

    def plan(kind: Literal["retraining", "nothing"], reason: str) -> Plan:
        return Plan(kind=kind, reason=reason, parent=parent.name, new_people=new_people, probe=found, drift=drift)

    if parent.unknown:
        return plan("nothing", f"nobody knows whom {parent.name} learned from ({parent.unknown}): train it anew")
    if not train:
        return plan("nothing", f"{told}: the champion, {parent.name}, has learned from all that there is")
    if parent.trained_in:
        return plan("nothing", f"{parent.trained_in} was trained on the same data, code and settings")
    if settings.force:
        found = probe()
        said = "" if found is None else f", probe {found.said}"
        return plan("retraining", f"forced by retraining.decision.force ({told}{said})")
    if settings.max_age_days is not None and parent.age > settings.max_age_days:
        return plan("retraining", f"{parent.name} is {parent.age:.0f} days old ({told})")
    if train < settings.min_people:
        return plan("nothing", f"{told}, {settings.min_people} needed")
    found = probe()
    if found is None:
        return plan(
            "retraining", f"{told} ({settings.min_people} needed); no probe, for this family has nothing to refit"
        )
    needed = f"{settings.min_probe_gain:g} {found.unit} needed"
    if found.low is None or found.low < settings.min_probe_gain:
        return plan("nothing", f"{told}, but the probe gives {found.said}, at its low end {needed}")
    return plan("retraining", f"{told} ({settings.min_people} needed), probe {found.said}, at its low end {needed}")


def people_by_split(splits: list[str]) -> dict[str, int]:
    """How many people are in each split, of a list with the split of each."""
    return {name: splits.count(name) for name in SPLITS}
