"""Where a run's report is."""

from pathlib import Path

from facerecon.errors import FaceReconError
from facerecon.workspace import outputs_folder, state_folder
from ops.runs import fetch, find_run


def find_report(text: str) -> Path:
    """The report of a config (its newest run), of a run, of a version; with "" the newest of all.

    A run's report is copied out of MLflow into the state folder, so that the path stays valid.

    Raises:
        FaceReconError: there is none.
    """
    published = sorted(outputs_folder().glob("*/report.html"), key=lambda path: path.stat().st_mtime)
    if not text:
        if not published:
            raise FaceReconError("no run has published a report yet: run `zenml pipeline run training`")
        return published[-1]
    if (path := outputs_folder() / text / "report.html") in published:
        return path
    run = find_run(text)
    folder = state_folder() / "reports" / run.info.run_id
    folder.mkdir(parents=True, exist_ok=True)
    return fetch(run, "published/report.html", folder)
