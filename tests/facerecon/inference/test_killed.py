"""Killed at any moment: what was told is there and whole, nothing is half, and the same command goes on."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from facerecon.custody.audit import audit_log
from facerecon.custody.signed import check, loads
from facerecon.files import sha256_file
from facerecon.images import read_rgb
from facerecon.inference import pictures
from facerecon.inference.making import Model

PHOTOS, KILLS = 60, 50

PROGRAM = """
import sys
from pathlib import Path
from facerecon.inference.making import Model, Request
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.reconstruct import measure, reconstruct
from facerecon.morphable.model import load

what, model, mask, photos, out = sys.argv[1], *map(Path, sys.argv[2:])
points = ((100, 120), (155, 120), (128, 150), (108, 180), (148, 180))
model = Model(model.read_bytes(), "tiny")
if what == "measure":
    load()
    results = measure((photos,), MeasurementRequest(model, points=points), out)
else:
    results = reconstruct((photos,), Request(model, points=points), out, mask)
print("begun", flush=True)
for result in results:
    assert not result.error, result.error
    print(result.path, flush=True)
print("done", flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("what", "files"), [("reconstruct", 4), ("measure", 5)])
def test_killed_at_fifty_moments(
    photo: Path,
    mask: Path,
    inpainting_model: Model,
    measuring_model: Model,
    what: str,
    files: int,
    tmp_path: Path,
) -> None:
    folder, out, model = tmp_path / "in", tmp_path / "out", tmp_path / "tiny.onnx"
    folder.mkdir()
    model.write_bytes((measuring_model if what == "measure" else inpainting_model).content)
    image = read_rgb(photo)
    for number in range(PHOTOS):
        image[0, 0] = number
        Image.fromarray(image).save(folder / f"{number}.png")
    command = [sys.executable, "-c", PROGRAM, what, *map(str, (model, mask, folder, out))]
    told: set[str] = set()
    rng = random.Random(0)
    for _ in range(KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "begun\n"
            time.sleep(rng.uniform(0, 0.4))
            process.kill()
            told |= {line for line in process.stdout.read().split("\n")[:-1] if line != "done"}
        assert audit_log().check().broken == ""
        for name in told:
            assert whole(Path(name))
        for path in out.rglob("*.png"):
            if not path.name.startswith("."):
                pictures.decode(path.read_bytes(), path.name)  # never half of one
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    assert done[-1] == "done"
    assert told <= set(done[1:-1])
    assert len(set(done[1:-1])) == PHOTOS
    assert all(whole(Path(name)) for name in done[1:-1])
    assert len(list(out.rglob("*"))) == files * PHOTOS
    # each result is in the log, and what was begun but not seen is in it at most once more a kill
    ids = [entry.facts["id"] for entry in audit_log().lines()]
    assert {record_of(Path(name))["id"] for name in done[1:-1]} <= set(ids)
    assert PHOTOS <= len(ids) <= PHOTOS + KILLS


def record_of(path: Path) -> dict:
    """The record beside a picture, whose signature holds."""
    side = loads(beside(path).read_text())
    check(side)
    return dict(side["document"]["record"]["document"])


def whole(path: Path) -> bool:
    """Whether the files of a result are those that its record names."""
    record_of(path)
    files = loads(beside(path).read_text())["document"]["files"]
    return all(sha256_file(path.parent / name) == digest for name, digest in files.items())


def beside(path: Path) -> Path:
    """Where the record beside a picture is."""
    return path.with_name(path.name.removesuffix(".png").removesuffix(".landmarks") + ".json")
