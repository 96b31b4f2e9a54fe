"""Start the retraining pipeline anew; never cached."""

from typing import Any

from zenml import step


@step(enable_cache=False)
def retrain(file: str, content: dict[str, Any], stack: str) -> None:
    """All of a retraining, in this container, on the stack with the id ``stack``; ``file`` is its config's name."""
    from ops.schedule.anew import retrain_anew

    retrain_anew(file, content, stack)
