"""What a retraining says last: what was taken in, what was refused, the decision, the outcome, the commit."""

from rich.console import Console

from facerecon.data.collected.collection import Collection
from facerecon.data.collected.inbox import Inbox
from facerecon.evaluation.promotion import Decision
from facerecon.report.decision import standing
from facerecon.retraining.plan import Plan
from ops.lineage import commit
from ops.telling import NOTHING_NEW

NAMED = 3
"""So many clips are named, the others counted."""


def lines_of(
    name: str, collection: Collection, plan: Plan, about: dict[str, str], decision: Decision | None
) -> list[str]:
    """The five lines; of clips there are names, of people only numbers."""
    return [
        f"taken in   {_taken_in(collection)}",
        f"refused    {_refused(collection)}",
        f"decision   {plan.said}",
        f"outcome    {_outcome(name, plan, decision)}",
        f"commit     {commit()[:12]}, collected {about['collected_dvc_digest']}",
    ]


def outcome_of(collection: Collection, plan: Plan, decision: Decision | None) -> str:
    """The outcome in a word or two, for who is told."""
    if decision is not None:
        return "promoted" if decision.champion else "proposed" if decision.proposed else "not promoted"
    return "not retrained" if collection.taken_in or collection.refused else NOTHING_NEW


def nothing_to_do(inbox: str, found: Inbox) -> list[str]:
    """What is said where there is no new clip and nothing else has changed."""
    lines = [f"nothing to do: {inbox}/ holds no new clip"]
    if found.young:
        lines.append(f"left to the next run, for they may still grow: {_named(list(found.young), 'clip')}")
    return lines + [f"refused: {uri}: {refusal.reason}" for uri, refusal in found.refused]


def show(lines: list[str]) -> None:
    """Print the lines."""
    console = Console()
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _taken_in(found: Collection) -> str:
    if not found.taken_in:
        return "no new clip"
    faces, poor = sum(clip.faces for clip in found.taken_in), sum(clip.poor for clip in found.taken_in)
    new = ", ".join(f"{count} in {split}" for split, count in found.new_people.items()) or "none"
    told = f"{_named([clip.name for clip in found.taken_in], 'clip')}: {faces} faces kept, {poor} too poor; "
    told += f"new people: {new}; {found.joined} tracks of known people"
    if found.left_out:
        near = ", ".join(f"{value:.3f} in {split}" for split, value in sorted(found.threshold.items()))
        told += f"; tracks left out, for they may show somebody of another split (cosine from {near}): {found.left_out}"
    if found.proved:
        told += f"; {found.proved} people left the evaluation, they are in an earlier split, too"
    return told


def _refused(found: Collection) -> str:
    told = [f"{name}: {reason}" for name, reason in found.refused]
    told += [f"{name}: the same bytes as {before}" for name, before in found.again]
    shown = told[:NAMED] + ([f"and {len(told) - NAMED} more"] if len(told) > NAMED else [])
    if found.young:
        shown.append(f"left to the next run, for they may still grow: {_named(list(found.young), 'clip')}")
    return "; ".join(shown) or "nothing"


def _outcome(name: str, plan: Plan, decision: Decision | None) -> str:
    if decision is None:
        return f"{plan.parent} stays champion" if plan.parent else f"{name} has no champion"
    return standing(decision)


def _named(names: list[str], what: str) -> str:
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'} ({shown})"
