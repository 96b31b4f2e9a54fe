"""What runs published in the outputs' folder, and which of a run's files hold pictures."""

import json
from pathlib import Path

from facerecon.workspace import outputs_folder, state_folder
from ops.forget.needles import Needles
from ops.forget.record import Survey

STAYS = frozenset(
    {".csv", ".dvc", ".json", ".diff", ".md", ".onnx", ".safetensors", ".txt", ".yaml", ".yml", "", ".jsonl"}
)
"""Files of a run that hold no picture; one in which the person is named goes all the same."""


def find_outputs(found: Survey) -> None:
    """What runs with the person published last, and copies of reports that were looked at."""
    files = set(found.files)
    for folder in filter(Path.is_dir, outputs_folder().glob("*")):
        try:
            made_of = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["data"]
        except (OSError, ValueError, KeyError):
            made_of = None  # not known: what it has of pictures goes
        if made_of is None or made_of in found.manifests:
            files |= {str(path) for path in folder.rglob("*") if path.is_file() and not stays(path, found)}
    for run in found.runs:
        files |= {str(path) for path in (state_folder() / "reports" / run).rglob("*") if path.is_file()}
    found.files = sorted(files)


def stays(path: Path, found: Survey) -> bool:
    """Whether a file that was published may stay: it holds no picture and does not name the person."""
    return path.suffix in STAYS and not Needles(found).within(path)
