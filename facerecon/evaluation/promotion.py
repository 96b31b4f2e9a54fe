"""The rule by which a challenger becomes champion: each condition is checked and says in plain words what it found."""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from facerecon.evaluation.bootstrap import Interval, fewest_identities, paired_interval
from facerecon.settings import Settings


class PromotionSettings(Settings):
    """The rule by which a challenger becomes champion; it is asked on the gate split, of the same masks.

    Differences are challenger minus champion, paired by face; their intervals of ``confidence`` come from drawing
    people with replacement ``resamples`` times. With fewer people than can tell at that confidence (6 at 0.95) no
    champion is replaced.
    """

    margin: float = Field(0.05, ge=0, le=20, description="least gain in hole PSNR, dB, brush, mean over the levels")
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="of the intervals; the gain's must lie above 0")
    resamples: int = Field(2000, ge=100, le=100_000)
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the resampling")
    max_lpips_loss: float = Field(0.01, ge=0, le=1, description="by how much LPIPS may be higher, interval included")
    max_identity_loss: float = Field(0.005, ge=0, le=2, description="by how much the cosine may be lower, likewise")
    max_hole_psnr_loss: float = Field(0.2, ge=0, le=20, description="dB that any family and level may lose, mean")
    max_faces: int = Field(200, ge=1)
    lpips_backbone: Literal["vgg", "alex"] = "vgg"
    identity_network: Literal["dlib", "sface", "facenet"] = "dlib"

    @property
    def judges(self) -> tuple[str, str]:
        """The names of the pretrained weights that judge at the gate."""
        return f"lpips_{self.lpips_backbone}", self.identity_network


PRIMARY = "brush"
"""The mask family that a model must gain in."""

METRICS = ("hole_psnr", "lpips", "identity")
"""dB, more is better; a distance, less is better; a cosine, more is better."""

CEILING = 10 * math.log10(255**2 * 12)
"""58.9 dB: the error that rounding to whole grey levels makes by itself, 1/12 of a squared level.

No hole PSNR at the gate counts for more. A hole that is restored exactly would else be infinite, and the difference of
two such faces undefined; so it counts for as much as could have been seen, and no less than any other.
"""


class Measure(NamedTuple):
    """What a figure is of; ``metric`` is one of METRICS."""

    family: str
    level: int
    metric: str


@dataclass(frozen=True)
class GateFigures:
    """A model's figures [N] by what they are of, and each face's person [N]; NaN where the model gave no image."""

    identities: tuple[str, ...]
    values: dict[Measure, NDArray[np.float64]]

    def scores(self) -> dict[str, dict[str, float | None]]:
        """Means over the faces by ``<family>/level_<k>`` and metric; None where one is not finite."""
        scores: dict[str, dict[str, float | None]] = {}
        for (family, level, metric), values in sorted(self.values.items()):
            mean = float(np.mean(values))
            scores.setdefault(f"{family}/level_{level}", {})[metric] = mean if math.isfinite(mean) else None
        return scores

    def primary(self, metric: str) -> NDArray[np.float64]:
        """Each face's mean [N] over the levels of brush masks."""
        chosen = [values for what, values in self.values.items() if (what.family, what.metric) == (PRIMARY, metric)]
        return np.mean(chosen, axis=0)


UNNAMED = frozenset({"", "unknown", "none", "n/a", "?"})
"""What names no licence, in whatever case."""


@dataclass(frozen=True)
class Check:
    """One condition: its ``name``, whether it is met, and what is ``said`` about it, with figures."""

    name: str
    passed: bool
    said: str


@dataclass(frozen=True)
class Opponent:
    """The champion, version ``number``: its figures at today's gate, or the obstacle if they cannot be had."""

    number: int
    figures: GateFigures | None
    obstacle: str = ""


@dataclass(frozen=True)
class Ruling:
    """Whether the challenger becomes champion, why in one sentence, each condition, and the two models' differences.

    ``differences`` has a row for each measure: family, level (None: mean over the levels), metric, difference
    (challenger minus champion), low and high (None: too few people can tell), identities. It is empty without champion.
    """

    wins: bool
    reason: str
    checks: list[Check]
    differences: list[dict[str, Any]]


def rule(
    challenger: GateFigures,
    champion: Opponent | None,
    data_licence: str,
    weights_licences: dict[str, str],
    settings: PromotionSettings,
) -> Ruling:
    """Decide between a challenger and the champion; with no champion yet, licences and figures alone decide.

    ``weights_licences`` has the licence of each pretrained weights file that was used, by its name.
    """
    checks = [_data_licence(data_licence), _weights_licences(weights_licences), _complete("challenger", challenger)]
    differences: dict[tuple[str, int | None, str], Interval] = {}
    if champion is not None:
        checks += _comparable(challenger, champion)
        if champion.figures is not None and all(check.passed for check in checks[2:]):
            differences = _differences(challenger, champion.figures, settings)
            checks += _compared(differences, champion.number, settings)
    failed = [check for check in checks if not check.passed]
    if failed:
        others = ", ".join(check.name for check in failed[1:])
        reason = failed[0].said + (f" (nor is met: {others})" if others else "")
    elif champion is None:
        reason = "the first model, its figures are finite and all licences are named"
    else:
        reason = f"{next(check.said for check in checks if check.name == GAIN)}, and nowhere worse than allowed"
    return Ruling(not failed, reason, checks, [_row(what, found) for what, found in differences.items()])


GAIN = "gain"


def _data_licence(licence: str) -> Check:
    if _unnamed(licence):
        return Check("data licence", False, "no licence is named for the data: state it as data.licence in the config")
    return Check("data licence", True, f"the data's licence is named: {licence.strip()}")


def _weights_licences(licences: dict[str, str]) -> Check:
    if unnamed := sorted(name for name, licence in licences.items() if _unnamed(licence)):
        return Check("weights licences", False, f"no licence is named for the pretrained weights {', '.join(unnamed)}")
    named = ", ".join(f"{name} ({licence})" for name, licence in sorted(licences.items())) or "none was used"
    return Check("weights licences", True, f"the pretrained weights' licences are named: {named}")


def _unnamed(licence: str) -> bool:
    return licence.strip().casefold() in UNNAMED


def _complete(whose: str, figures: GateFigures) -> Check:
    """Every figure is there, of every face, and finite."""
    name, faces = f"{whose}'s figures", len(figures.identities)
    levels = {what.level for what in figures.values}
    missing = {Measure(PRIMARY, level, metric) for level in levels for metric in METRICS} - set(figures.values)
    bad = {
        what
        for what, values in figures.values.items()
        if len(values) != faces or not len(values) or not np.isfinite(values).all()
    }
    if missing or bad or not levels:
        which = ", ".join(_name(what) for what in sorted(missing | bad)) or "there is none"
        return Check(name, False, f"not all gate figures of the {whose} are finite numbers: {which}")
    return Check(name, True, f"all {len(figures.values)} gate figures of the {whose} are finite numbers")


def _name(what: Measure) -> str:
    return f"{what.metric} of {what.family} level {what.level}"


def _comparable(challenger: GateFigures, champion: Opponent) -> list[Check]:
    """The champion was measured on the same faces in the same ways."""
    if champion.figures is None:
        said = f"the champion, version {champion.number}, cannot be measured: {champion.obstacle}"
        return [Check("champion's figures", False, said)]
    theirs = champion.figures
    same = challenger.identities == theirs.identities and challenger.values.keys() == theirs.values.keys()
    said = f"both were measured on the same {len(challenger.identities)} faces in the same ways"
    return [
        _complete("champion", theirs),
        Check("same faces", same, said if same else "the two were not measured on the same faces in the same ways"),
    ]


def _differences(
    ours: GateFigures, theirs: GateFigures, settings: PromotionSettings
) -> dict[tuple[str, int | None, str], Interval]:
    """Challenger minus champion by family, level (None: mean over the levels, brush only) and metric."""
    pairs: dict[tuple[str, int | None, str], Any] = {
        (PRIMARY, None, metric): ours.primary(metric) - theirs.primary(metric) for metric in METRICS
    }
    pairs |= {
        (what.family, what.level, what.metric): values - theirs.values[what]
        for what, values in sorted(ours.values.items())
    }
    return {
        what: paired_interval(values, ours.identities, settings.resamples, settings.confidence, settings.seed)
        for what, values in pairs.items()
    }


def _row(what: tuple[str, int | None, str], found: Interval) -> dict[str, Any]:
    family, level, metric = what
    return {
        **{"family": family, "level": level, "metric": metric, "difference": found.mean},
        **{"low": found.low, "high": found.high, "identities": found.identities},
    }


def _compared(
    differences: dict[tuple[str, int | None, str], Interval], number: int, settings: PromotionSettings
) -> list[Check]:
    """The conditions that compare the two models."""
    gain, lpips, identity = (differences[PRIMARY, None, metric] for metric in METRICS)
    checks = [
        _enough(gain, settings.confidence),
        Check(
            GAIN,
            gain.mean >= settings.margin,
            f"{gain.mean:+.3f} dB of hole PSNR ({_range(gain)}) against version {number}, {settings.margin:g} needed",
        ),
        Check(
            "gain beyond chance",
            gain.low is not None and gain.low > 0,
            f"the gain's interval in dB at {settings.confidence:.4g}: {_range(gain)}; all of it must lie above 0",
        ),
        Check(
            "LPIPS no worse",
            lpips.high is not None and lpips.high <= settings.max_lpips_loss,
            f"LPIPS {lpips.mean:+.4f} ({_range(lpips, 4)}); no more than {settings.max_lpips_loss:g} higher is allowed",
        ),
        Check(
            "identity no worse",
            identity.low is not None and identity.low >= -settings.max_identity_loss,
            f"identity {identity.mean:+.4f} ({_range(identity, 4)}); "
            f"no more than {settings.max_identity_loss:g} lower is allowed",
        ),
    ]
    means = {
        (family, level): found.mean
        for (family, level, metric), found in differences.items()
        if metric == "hole_psnr" and level is not None
    }
    (family, level), worst = min(means.items(), key=lambda item: item[1])
    said = (
        f"of {len(means)} mask families and levels {family} level {level} fares worst with {worst:+.3f} dB; "
        f"no more than {settings.max_hole_psnr_loss:g} dB lower is allowed"
    )
    return [*checks, Check("every family and level", worst >= -settings.max_hole_psnr_loss, said)]


def _enough(found: Interval, confidence: float) -> Check:
    needed = fewest_identities(confidence)
    said = f"{found.identities} people at the gate"
    if found.identities < needed:
        said += f" are too few to tell a gain from chance at {confidence:.4g}: {needed} are needed, give more people"
    return Check("enough people", found.identities >= needed, said)


def _range(found: Interval, digits: int = 3) -> str:
    if found.low is None or found.high is None:
        return "cannot be told"
    return f"{found.low:+.{digits}f} to {found.high:+.{digits}f}"
