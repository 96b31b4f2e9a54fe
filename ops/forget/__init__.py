"""Forgetting a person: everything that this clone keeps of them, in its data, its stores, ZenML, MLflow and DVC, and on
the servers of its stack.

What is found is written down before anything is removed, and each part can be done twice: a forgetting that was killed
is finished by the same command. Tombstones come first, so that nothing comes back meanwhile.
"""

from ops.forget.mlflow_runs import Use, uses
from ops.forget.record import Survey
from ops.forget.removal import Outcome, check_reason, forget
from ops.forget.search import survey

__all__ = ["Outcome", "Survey", "Use", "check_reason", "forget", "survey", "uses"]
