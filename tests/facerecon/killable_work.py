"""What the kill tests run: the alignment of a few photos, then cases, training and published files of a few blobs.

Each time it is a process of its own. Started as a program with a folder of photos it imports everything once and then
forks a child for each line it reads: ``FOLDER KILL_AT`` runs the work in FOLDER and kills it (SIGKILL) before its
KILL_AT-th writing call (0: never) or, for ``FOLDER t0.25``, after a quarter of a second. It answers with a line: how
the child ended, and how many writing calls it made.
"""

import importlib.util
import os
import signal
import sys
import threading
import time
from pathlib import Path

import torch

from facerecon.data.alignment import AlignmentSettings, align
from facerecon.data.ingest import ingest
from facerecon.data.settings import DataSettings
from facerecon.experiment import Experiment
from facerecon.files import write_json, write_text
from facerecon.models.trained import save_model
from facerecon.run import parse_settings
from facerecon.tasks import get_task
from facerecon.weights import weights_path

spec = importlib.util.spec_from_file_location("blobs", Path(__file__).with_name("conftest.py"))
assert spec is not None
assert spec.loader is not None
blobs = importlib.util.module_from_spec(spec)
spec.loader.exec_module(blobs)

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TRAINING = {
    "steps": 6,
    "batch_size": 4,
    "warmup_steps": 1,
    "validate_every": 2,
    "accelerator": "cpu",
    "threads": 1,
    "losses": {"perceptual": 0, "identity": 0},
}
SETTINGS = {
    "masks": {"evaluation_families": ["brush"], "levels": [1, 2], "count": 8},
    "model": {"options": {"features": [4, 8]}},
    "training": TRAINING,
}


def work(folder: Path, photos: Path) -> None:
    """Everything that the library writes between the photos and the published files."""
    listed = ingest(DataSettings(path=str(photos)), photos, folder / "frames")
    alignment = AlignmentSettings(workers=1)
    aligned = align(listed, alignment, weights_path("face_landmarker"), folder / "crops")
    manifest = blobs.write_blobs(folder.parent / "crops", {"train": 8, "val": 3})
    task, settings = get_task("inpainting"), parse_settings(SETTINGS, "here")
    cases = task.freeze_cases(settings.values(*task.fields["cases"]), manifest, folder / "cases")
    experiment = Experiment(task.name, settings.values(*task.fields["training"]), manifest, cases)
    result = experiment.train(folder / "checkpoint", experiment.provenance)
    digests = {"weights": result.best.digest, "cases": cases.digest, "faces": aligned.digest}
    write_json(folder / "outputs" / "metrics.json", digests)
    write_text(folder / "outputs" / "report.html", f"<p>{result.best.step}</p>")
    save_model(folder / "outputs" / "model.safetensors", result.best)


def child(folder: Path, photos: Path, kill: str, answer: int) -> None:
    """Run the work under watch; never returns."""
    torch.set_num_threads(1)
    calls = 0

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal calls
        if event == "open":
            path, flags = arguments[0], arguments[2]
            if not (isinstance(flags, int) and flags & WRITING):
                return
        elif event in {"os.rename", "os.remove", "os.mkdir"}:
            path = arguments[0]
        else:
            return
        if str(path).startswith(str(folder)):
            calls += 1
            if kill == str(calls):
                os.kill(os.getpid(), signal.SIGKILL)

    if kill.startswith("t"):
        threading.Timer(float(kill[1:]), os.kill, (os.getpid(), signal.SIGKILL)).start()
    sys.addaudithook(watch)
    start = time.monotonic()
    try:
        work(folder, photos)
    except BaseException as error:
        os.write(answer, f"failed {error}".replace("\n", " ").encode())
        os._exit(1)
    os.write(answer, f"done {calls} {time.monotonic() - start:.3f}".encode())
    os._exit(0)


def main() -> None:
    for line in sys.stdin:
        folder, kill = line.split()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(Path(folder), Path(sys.argv[1]), kill, writing)
        os.close(writing)
        _, status = os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as stream:
            said = stream.read().decode()
        print("killed" if os.WIFSIGNALED(status) else said, flush=True)


if __name__ == "__main__":
    main()
