"""A retraining as the report tells it."""

from facerecon.data.collected.collection import Collection, TakenIn
from facerecon.evaluation.promotion import Decision
from facerecon.report.formats import signed_text
from facerecon.report.story import RetrainingStory
from facerecon.retraining.plan import Plan


def retraining_story(
    plan: Plan, collection: Collection, decision: Decision, config: str, anchor: str
) -> RetrainingStory:
    """What is told of a retraining of ``config``; of clips there are names, of people only numbers.

    ``anchor`` names the version beside which losses may not add up, "" where there is none.
    """
    beside = f"{anchor}, the parent itself" if anchor == plan.parent else anchor
    facts = [("parent", plan.parent or "none: it is the first model"), ("anchor", beside or "none yet")]
    if plan.probe is not None:
        at = "" if plan.probe.low is None else f", interval at {plan.probe.confidence * 100:g} %"
        facts.append(("probe", plan.probe.said + at))
    facts.append(("tracks of known people", str(collection.joined)))
    facts.append(("tracks left out", _left_out(collection)))
    if collection.proved:
        facts.append(("left the evaluation", f"{collection.proved} people, who are in an earlier split, too"))
    return RetrainingStory(
        decision=plan.said,
        facts=facts,
        clips=[
            *((clip.name, _taken_in(clip)) for clip in collection.taken_in),
            *((name, f"refused: {reason}") for name, reason in collection.refused),
            *((name, f"skipped: the same bytes as {before}") for name, before in collection.again),
            *((name, "left to the next run: it may still grow") for name in collection.young),
        ],
        people=plan.new_people,
        drift=[(row.measure, _number(row.old), _number(row.new), signed_text(row.effect, 2)) for row in plan.drift],
        commands=_commands(decision, config),
    )


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _taken_in(clip: TakenIn) -> str:
    tracks = f"{clip.tracks} {'track' if clip.tracks == 1 else 'tracks'}"
    return f"taken in: {clip.faces} faces of {tracks} kept, {clip.poor} too poor"


def _left_out(collection: Collection) -> str:
    near = ", ".join(f"{value:.3f} in {split}" for split, value in sorted(collection.threshold.items()))
    if not near:
        return "0"
    return f"{collection.left_out}; left out is what may show somebody of another split, from a cosine of {near}"


def _commands(decision: Decision, config: str) -> list[tuple[str, str]]:
    if decision.champion:
        return [("puts the champion before it back", f"facerecon rollback {config} --reason ...")]
    promote = f"facerecon promote {config}/{decision.version} --reason ..."
    return [("makes it champion, as proposed", promote)] if decision.proposed else []
