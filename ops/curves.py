"""A training in MLflow: its curves, what it went on from, what it took of the machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mlflow
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from facerecon.files import write_text
from facerecon.models.trained import Row


def log_row(row: Row) -> None:
    """One point of the training curves."""
    mlflow.log_metrics({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))


def log_curves(history: list[Row]) -> None:
    """The curves of a training that another run did: a run served from the cache shows them too."""
    run = mlflow.active_run()
    if run and "loss/total" not in mlflow.get_run(run.info.run_id).data.metrics:
        for row in history:
            log_row(row)


def name_predecessor(folder: Path) -> str:
    """Tag the active run with the one whose checkpoint in ``folder`` it goes on from, and leave its own id there.

    Returns the active run's id; where none is active, as on a stack without a tracker, "none".
    """
    run, note = mlflow.active_run(), folder / "mlflow_run"
    if run is None:
        return "none"
    own = str(run.info.run_id)
    started = (folder / "last.safetensors").is_file()
    if started and note.is_file() and (before := note.read_text(encoding="utf-8").strip()) != own:
        mlflow.set_tag("resumed_from_run", before)
    write_text(note, own + "\n")
    return own


@contextmanager
def system_metrics() -> Iterator[None]:
    """Log processor, memory and, where there is one, GPU use to the active run meanwhile, every ten seconds."""
    run = mlflow.active_run()
    if run is None:
        yield
        return
    monitor = SystemMetricsMonitor(run.info.run_id)
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()
