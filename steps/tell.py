"""Tell what a retraining did; never cached."""

from typing import Annotated

from zenml import step

from facerecon.data.collected.collection import Collection
from facerecon.evaluation.promotion import Decision
from facerecon.retraining.plan import Plan
from facerecon.telling import TellingSettings


@step(enable_cache=False)
def tell(
    name: str,
    collection: Collection,
    plan: Plan,
    about: dict[str, str],
    telling: TellingSettings,
    decision: Decision | None = None,
) -> Annotated[list[str], "told"]:
    """The lines that the terminal shows last, and whoever is told."""
    from ops.outcome import lines_of, outcome_of
    from ops.telling import tell as tell_people

    lines = lines_of(name, collection, plan, about, decision)
    tell_people(lines, outcome_of(collection, plan, decision), telling)
    return lines
