"""Where things lie in a clone."""

import hashlib
import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The root of the checkout."""


def state_folder() -> Path:
    """Crops, masks, checkpoints, ZenML's artifacts and MLflow's database: ``$FACERECON_STATE``, else ``.facerecon``."""
    return Path(os.environ.get("FACERECON_STATE") or PROJECT / ".facerecon").resolve()


def benchmarks_folder() -> Path:
    """What benchmarks keep unless they are told where: crops, frames and cases, as in the state folder."""
    return state_folder() / "benchmarks"


def refused_docs_folder() -> Path:
    """Data Docs of the data that validation refused last."""
    return state_folder() / "data_docs"


def outputs_folder() -> Path:
    """What runs publish: ``$FACERECON_OUTPUTS``, else ``outputs``."""
    return Path(os.environ.get("FACERECON_OUTPUTS") or PROJECT / "outputs").resolve()


def collected_folder() -> Path:
    """Faces collected out of an inbox, beside ``data/``."""
    return PROJECT / "collected"


def clone_id() -> str:
    """Eight hexadecimal digits that tell this clone's state from every other's on this machine."""
    return hashlib.sha256(str(state_folder()).encode()).hexdigest()[:8]
