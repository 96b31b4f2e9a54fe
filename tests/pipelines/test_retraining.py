"""The retraining pipeline at tiny size, through the command that users type, in a copy of the checkout."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest
import yaml

from facerecon.data.collected.ledger import Ledger
from facerecon.data.sources import image_files
from facerecon.synthetic.clips import write_clips

RUN = ("zenml", "pipeline", "run", "retraining", "-c", "configs/few.yaml")
FILES = {"model.onnx", "metrics.json", "report.html", "model_card.md"}
LINES = ("taken in", "refused", "decision", "outcome", "commit")


def write_config(clone, **changed) -> None:
    """The smallest config, of a family with a prior. All who are new are in train, so that nothing hangs on a hash."""
    content = yaml.safe_load((clone.root / "configs/ci.yaml").read_text())
    prior = {"prior_grid": 16, "prior_components": 8, "prior_iterations": 4, "prior_from": 0.5}
    content["parameters"] |= {"name": "few", "model": {"family": "unet_fill", "options": {"features": [4, 8], **prior}}}
    content["parameters"]["retraining"] = {
        "inbox": {"settle": 0},
        "collect": {
            "min_quality": 0.2,
            "footage": {"same_person": "clip", "workers": 1},
            "splits": {"train": 1, "val": 0, "gate": 0, "test": 0},
        },
        "decision": {"force": True},
        **changed,
    }
    (clone.root / "configs/few.yaml").write_text(yaml.safe_dump(content))


def retrain(clone) -> str:
    done = clone.run(*RUN)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def said(text: str) -> dict[str, str]:
    """The five lines that a run ends with."""
    lines = [line.strip() for line in text.splitlines()]
    return {word: line[len(word) :].strip() for line in lines for word in LINES if line.startswith(word)}


def client(clone) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(clone.tracking_uri)


def versions(clone) -> dict[int, mlflow.entities.model_registry.ModelVersion]:
    found = client(clone).search_model_versions("name = 'facerecon-few'")
    return {int(version.version): version for version in found}


def champion(clone) -> int:
    return int(client(clone).get_registered_model("facerecon-few").aliases["champion"])


@pytest.fixture(scope="module")
def clips(sample_faces: Path, landmark_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    cast = {each.name: sorted(image_files(each))[:1] for each in sorted(sample_faces.glob("person_*"))[:8]}
    write_clips(folder, cast, landmark_model, "night", seed=5, workers=1)
    return folder


@pytest.fixture(scope="module")
def retrained_clone(clone, another_checkout):
    made = another_checkout("retrained")
    shutil.copytree(clone.root / "data" / "ci", made.root / "data" / "ci")
    write_config(made)
    made.run("git", "add", "-A")
    made.run("git", "-c", "user.name=test", "-c", "user.email=test@example.com", "commit", "-qm", "a config")
    return made


@pytest.fixture(scope="module")
def first(retrained_clone) -> str:
    """There is no champion yet, and the inbox is empty."""
    return retrain(retrained_clone)


@pytest.fixture(scope="module")
def second(retrained_clone, first, clips: Path) -> str:
    """One whole clip and one that is being copied."""
    inbox = retrained_clone.root / "inbox"
    shutil.copy(clips / "night-000.mp4", inbox / "night-000.mp4")
    (inbox / "later.mp4.part").write_bytes(b"half a clip")
    text = retrain(retrained_clone)
    (inbox / "night-000.mp4").unlink()  # it is not needed any more
    return text


def test_without_a_champion_the_first_is_trained_on_the_photographs(retrained_clone, first: str) -> None:
    assert said(first).keys() == set(LINES)
    assert said(first)["decision"] == "train the first model: there is no champion yet"
    assert said(first)["taken in"] == "no new clip"
    assert champion(retrained_clone) == 1
    published = {path.name for path in (retrained_clone.root / "outputs" / "few-retraining").iterdir()}
    assert published >= FILES
    assert not (retrained_clone.root / "outputs" / "few").exists()  # that is DVC's


def test_with_nothing_new_no_run_is_begun(retrained_clone, second: str) -> None:
    experiment = client(retrained_clone).get_experiment_by_name("facerecon")
    before = len(client(retrained_clone).search_runs([experiment.experiment_id]))
    text = retrain(retrained_clone)
    assert "nothing to do: inbox/ holds no new clip" in text
    assert "later.mp4.part" in text
    assert len(client(retrained_clone).search_runs([experiment.experiment_id])) == before


def test_a_clip_is_taken_in_and_a_model_trained_from_the_champion(retrained_clone, second: str) -> None:
    lines = said(second)
    assert lines["taken in"].startswith("1 clip (night-000.mp4): ")
    assert "later.mp4.part" in lines["refused"]
    assert lines["decision"].startswith("retrain: forced by retraining.decision.force (1 new people in train")
    assert "Version 2 stays a challenger; it had to beat version 1" in lines["outcome"]
    held = versions(retrained_clone)
    run = client(retrained_clone).get_run(held[2].run_id)
    assert run.data.tags["initial_weights"] == held[1].tags["weights_digest"]
    assert champion(retrained_clone) == 1
    ledger = Ledger.read(retrained_clone.root / "collected")
    assert [row.name for row in ledger.clips.values()] == ["night-000.mp4"]


def test_dvc_has_what_was_collected_and_the_recorded_difference_is_none(retrained_clone, second: str) -> None:
    run = client(retrained_clone).get_run(versions(retrained_clone)[2].run_id)
    assert run.data.tags["git_diff_digest"] == "clean"
    recorded = yaml.safe_load((retrained_clone.root / "collected.dvc").read_text())["outs"][0]["md5"]
    assert run.data.tags["collected_dvc_digest"] == recorded
    assert said(second)["commit"].endswith(recorded)
    status = retrained_clone.run("dvc", "status", "collected.dvc")
    assert "up to date" in status.stdout
    assert retrained_clone.run("git", "status", "--porcelain").stdout.split() == ["??", "collected.dvc"]


@pytest.mark.slow
def test_the_same_is_not_trained_twice(retrained_clone, second: str) -> None:
    # another setting of the decision: it is decided anew, on the same data
    write_config(retrained_clone, decision={"force": True, "min_people": 7})
    lines = said(retrain(retrained_clone))
    write_config(retrained_clone)
    assert lines["decision"] == "no retraining: version 2 was trained on the same data, code and settings"
    assert lines["outcome"] == "few/1 stays champion"
    assert set(versions(retrained_clone)) == {1, 2}


def test_the_ledger_is_shown(retrained_clone, second: str) -> None:
    shown = retrained_clone.run("facerecon", "footage").stdout
    assert "night-000.mp4" in shown
    assert "1 clips: 1 collected" in shown
    assert "gate_old: number 1" in shown


@pytest.mark.slow
def test_while_one_runs_another_ends_well_and_says_who_runs(retrained_clone, second: str) -> None:
    holder = (
        "import sys; from ops.retraining_lock import retraining_lock\n"
        "with retraining_lock('retraining'):\n  print('held', flush=True); sys.stdin.read()\n"
    )
    held = subprocess.Popen(
        [sys.executable, "-c", holder],
        cwd=retrained_clone.root,
        env=retrained_clone.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    done = retrained_clone.run(*RUN)
    held.communicate("")
    assert done.returncode == 0
    assert "retraining under way since" in done.stderr
    assert f"pid {held.pid}" in done.stderr


@pytest.mark.slow
def test_a_wrong_inbox_is_one_line(retrained_clone, second: str) -> None:
    write_config(retrained_clone, inbox={"path": "data/ci"})
    done = retrained_clone.run(*RUN)
    write_config(retrained_clone)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert "overlaps" in last
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_killed_in_any_step_and_begun_again_it_ends_the_same(clone, another_checkout, clips: Path) -> None:
    ends = []
    for name, steps in (("whole", ()), ("killed", ("collect", "freeze_sets", "decide", "train", "promote", "publish"))):
        made = another_checkout(name)
        shutil.copytree(clone.root / "data" / "ci", made.root / "data" / "ci")
        write_config(made)
        retrain(made)
        shutil.copy(clips / "night-000.mp4", made.root / "inbox" / "night-000.mp4")
        for step in steps:
            kill_in(made, step)
        retrain(made)
        held = versions(made)
        ledger = json.loads((made.root / "collected/ledger.json").read_text())
        for row in ledger["clips"].values():
            row["taken"] = ""
        ends.append((ledger, {number: held[number].tags["weights_digest"] for number in held}, champion(made)))
    assert ends[0] == ends[1]


def kill_in(made, step: str) -> None:
    """Begin a run and kill it as soon as it is in ``step``."""
    program = Path(sys.executable).parent / RUN[0]
    running = subprocess.Popen(
        [str(program), *RUN[1:]],
        cwd=made.root,
        env=made.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert running.stdout is not None
    for line in running.stdout:
        if step in line and "has started" in line:
            time.sleep(0.3)
            running.send_signal(signal.SIGKILL)
            break
    else:
        raise AssertionError(f"it ended before {step}")
    running.wait()
