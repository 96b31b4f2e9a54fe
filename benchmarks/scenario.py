"""Retraining from end to end: old photographs, a night camera whose footage is worth it, a day camera whose is not.

In a checkout of its own: a champion is trained on photographs of some people; a first batch of clips (night) comes in,
then a second (day), which by itself changes nothing and is then forced; at last the champion is rolled back. All of it
by the commands that users type. Who was seen is scored against the truth of the rendered clips. With `--photos` (a
folder in LFW's layout) faces are photographs; without it they are drawn, few, and told apart by clip.

Writes JSON, and prints what each run said.
"""

import argparse
import json
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import yaml
from zenml.artifact_stores.local_artifact_store import LocalArtifactStore, LocalArtifactStoreConfig
from zenml.enums import StackComponentType

from benchmarks.checkout import Checkout, check_out
from benchmarks.machine import describe_machine
from facerecon.data.collected.archive import read_archive
from facerecon.data.collected.ledger import Ledger, track_name
from facerecon.evaluation.comparison import compare
from facerecon.evaluation.evaluation import Evaluation
from facerecon.files import write_json
from facerecon.randomness import unit_interval
from facerecon.synthetic import write_dataset
from facerecon.synthetic.clips import Camera, write_clips
from facerecon.weights import weights_path
from ops.materializers.evaluation import EvaluationMaterializer
from ops.materializers.manifest import ManifestMaterializer
from ops.registry import CHAMPION

PROJECT = Path(__file__).resolve().parents[1]
NAME = "scenario"
SAID = ("taken in", "refused", "decision", "outcome", "commit")
PHOTOS_OF_OLD = 2
"""So many photographs at most are taken of somebody old."""
COMPARED = ("hole_psnr", "lpips_vgg", "identity_dlib")


@dataclass(frozen=True)
class Cast:
    """Who is where: the photographs of ``old`` people, and of those in the two ``batches`` of clips, by name."""

    old: dict[str, list[Path]]
    batches: tuple[dict[str, list[Path]], dict[str, list[Path]]]


def cast_of(photos: Mapping[str, Sequence[Path]], old: int, batch: int, known: int) -> Cast:
    """Choose people by hash. Somebody in a batch has two photographs there; ``known`` ones of each batch are old, too,
    with other photographs. Raises SystemExit if there are too few."""
    order = sorted(photos, key=lambda name: unit_interval("scenario", name))
    both = [name for name in order if len(photos[name]) >= 4][: 2 * known]
    filmed = [name for name in order if len(photos[name]) >= 2 and name not in both][: 2 * (batch - known)]
    rest = [name for name in order if name not in filmed and name not in both][: old - len(both)]
    if len(both) < 2 * known or len(filmed) < 2 * (batch - known) or len(rest) < old - len(both):
        raise SystemExit(f"{len(photos)} people are too few for {old} old ones and two batches of {batch}")
    of_old = {name: list(photos[name][:PHOTOS_OF_OLD]) for name in rest} | {
        name: list(photos[name][2:4]) for name in both
    }
    batches = tuple({name: list(photos[name][:2]) for name in (*filmed[part::2], *both[part::2])} for part in (0, 1))
    return Cast(of_old, (batches[0], batches[1]))


def settings(args: argparse.Namespace, source: str) -> dict[str, Any]:
    """The config of the scenario."""
    drawn = args.photos is None
    training = {"steps": args.steps, "coarse_share": 0.75, "batch_size": 16, "learning_rate": 2e-3}
    training |= {"final_learning_rate": 2e-6, "warmup_steps": min(100, args.steps // 10)}
    training |= {"validate_every": max(1, args.steps // 10), "losses": {"identity_interval": 8}}
    footage: dict[str, Any] = {"detector": "mtcnn", "min_face": 48}
    footage |= {"same_person": "clip"} if drawn else {}
    return {
        "name": NAME,
        "data": {"source": "folder", "path": "data/old", "licence": source},
        "model": {"family": "unet_fill"},
        "training": training,
        "evaluation": {"max_faces": args.faces},
        "promotion": {"max_faces": args.faces},
        "retraining": {
            "inbox": {"settle": 0},
            "collect": {"min_quality": args.min_quality, "footage": footage},
            # a clip is a person among drawn faces: too few of them for a probe
            "decision": {"force": True} if drawn else {"min_people": 20},
        },
    }


def retrain(checkout: Checkout, config: dict[str, Any]) -> dict[str, Any]:
    """Run the pipeline once, and return what it said, its seconds, and what is champion then."""
    path = checkout.root / "configs" / f"{NAME}.yaml"
    path.write_text(yaml.safe_dump({"parameters": config}, sort_keys=False), encoding="utf-8")
    figures = checkout.root / "outputs" / f"{NAME}-retraining" / "metrics.json"
    figures.unlink(missing_ok=True)  # what is there afterwards is of this run
    text, seconds, cpu = checkout.run("zenml", "pipeline", "run", "retraining", "-c", f"configs/{NAME}.yaml")
    said = {word: line[len(word) :].strip() for line in text.splitlines() for word in SAID if line.startswith(word)}
    for word, line in said.items():
        print(f"  {word:10} {line}", flush=True)
    compared = show(gains(json.loads(figures.read_text(encoding="utf-8")))) if figures.exists() else []
    return {"said": said, "seconds": round(seconds), "cpu_seconds": round(cpu), "compared": compared}


def show(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print gains, and return them."""
    for row in rows:
        interval = "" if row["low"] is None else f" ({row['low']:+.3f} to {row['high']:+.3f})"
        beside = f"{row['face_set']}, {row['metric']} over {row['other']}"
        print(f"  {beside}: {row['gain']:+.3f}{interval}, {row['identities']} people", flush=True)
    return rows


def gains(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The gains over other models, means over levels, of what a retraining published."""
    told = ("method", "other", "face_set", "identities", "left_out", "obstacle")
    return [
        {name: beside[name] for name in told} | row
        for beside in metrics.get("comparisons", ())
        for row in beside["rows"]
        if row["level"] is None and row["metric"] in COMPARED
    ]


def score(checkout: Checkout, truth: Mapping[str, Any], old: Mapping[str, str]) -> dict[str, Any]:
    """Who was taken for whom: the ledger's people beside the truth; ``old`` has the split of people in photographs.

    ``leaks`` are people who are in training here and in evaluation there, whatever the reason, ``leaked_keys`` what
    they are called where they are evaluated.
    """
    folder = checkout.root / "collected"
    ledger = Ledger.read(folder)
    person_of = ledger.person_of
    shown: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    nobody = left_out = 0
    for sha256, row in ledger.clips.items():
        if not row.faces:
            continue
        for track in read_archive(folder, sha256):
            who = _who(truth["clips"][row.name], track)
            name = track_name(sha256, track.number)
            if who is None:
                nobody += 1
            elif name in ledger.left_out:
                left_out += 1
            else:
                key = person_of[name]
                shown[who].append((key, "" if ledger.people[key].left else ledger.people[key].split))
    splits = {
        who: {split for _, split in tracks if split} | ({old[who]} if who in old else set())
        for who, tracks in shown.items()
    }
    appearances = sum(len(walks) for walks in truth["clips"].values())
    keys = defaultdict(set)
    for who, tracks in shown.items():
        for key, _ in tracks:
            keys[key].add(who)
    again = [who for who, tracks in shown.items() if len(tracks) > 1]
    leaks = [who for who, of in splits.items() if "train" in of and len(of) > 1]
    leaked = {key for who in leaks for key, split in shown[who] if split not in ("", "train")}
    return {
        "appearances": appearances,
        "tracks": sum(map(len, shown.values())),
        "tracks_of_nobody": nobody,
        "tracks_left_out": left_out,
        "people_seen": len(shown),
        "people_seen_again": len(again),
        "of_them_joined": sum(len({key for key, _ in shown[who]}) == 1 for who in again),
        "keys": len(keys),
        "keys_of_several_people": sum(len(people) > 1 for people in keys.values()),
        "people_in_photographs_too": sum(who in old for who in shown),
        "leaks": len(leaks),
        "leaked_keys": sorted(leaked),
    }


def gains_without(checkout: Checkout, leaked: Sequence[str]) -> list[dict[str, Any]]:
    """The gains over the champion there was on new test faces, without people who are in training, too.

    The pipeline cannot know them: this tells how much they flatter its figures.
    """
    evaluation: Evaluation = _made(checkout, "evaluate/evaluation", EvaluationMaterializer)
    faces: pd.DataFrame = _made(checkout, "freeze_sets/divided", ManifestMaterializer).faces
    people = dict(zip(faces["face"], faces["identity"], strict=True))
    kept = [face for face, who in people.items() if who.rpartition(":")[2] not in leaked]  # the source comes first
    beside = compare(evaluation, "test_new", CHAMPION, f"{CHAMPION}, without leaks", people, kept)
    return gains({"comparisons": [beside.model_dump(mode="json")]})


def _made(checkout: Checkout, output: str, materializer: type[Any]) -> Any:
    """What a step made in the newest run."""
    root = checkout.root / ".facerecon" / "artifacts"
    newest = max((root / output).glob("*/*/*"), key=lambda file: file.stat().st_mtime).parent  # skipped: empty folders
    now = datetime.now(UTC)
    store = LocalArtifactStore(
        name="scenario",
        id=uuid4(),
        config=LocalArtifactStoreConfig(path=str(root)),
        flavor="local",
        type=StackComponentType.ARTIFACT_STORE,
        user=uuid4(),
        created=now,
        updated=now,
    )
    made = materializer(str(newest), store)
    return made.load(made.ASSOCIATED_TYPES[0])


def _who(walks: Sequence[Mapping[str, Any]], track: Any) -> str | None:
    """Who a track shows by the truth: in most of its faces the anchor lies in their box."""
    votes: defaultdict[str, int] = defaultdict(int)
    for face in track.faces:
        x, y = face.corner[0] + face.anchor[0], face.corner[1] + face.anchor[1]
        for walk in walks:
            for frame, left, top, right, bottom in walk["boxes"]:
                if frame == face.frame and left <= x <= right and top <= y <= bottom:
                    votes[walk["person"]] += 1
    return max(votes, key=lambda who: votes[who]) if votes else None


def film(
    checkout: Checkout, people: Mapping[str, Sequence[Path]], camera: Camera, seed: int, workers: int
) -> dict[str, Any]:
    """Render a batch of clips into the inbox; the truth is not left there."""
    inbox = checkout.root / "inbox"
    start = time.perf_counter()
    truth = write_clips(inbox, people, weights_path("face_landmarker"), camera, seed, workers)
    (inbox / "truth.json").unlink()
    print(
        f"{camera}: {len(truth['clips'])} clips of {len(people)} people in {time.perf_counter() - start:.0f} s",
        flush=True,
    )
    return truth


def main() -> None:
    """Run the scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of people in LFW's layout; without it faces are drawn")
    parser.add_argument("--old", type=int, help="people in photographs (1500; drawn: 30)")
    parser.add_argument("--batch", type=int, help="people in each batch of clips (100; drawn: 12)")
    parser.add_argument("--steps", type=int, help="of the first training (1500; drawn: 60)")
    parser.add_argument("--faces", type=int, default=100, help="measured at most of each face set")
    parser.add_argument("--min-quality", type=float, default=0.55)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=PROJECT / ".facerecon" / "scenario")
    parser.add_argument("--out", type=Path, default=PROJECT / "outputs" / "scenario" / "scenario.json")
    args = parser.parse_args()
    drawn = args.photos is None
    for name, few, many in (("old", 30, 1500), ("batch", 12, 100), ("steps", 60, 1500)):
        if getattr(args, name) is None:
            setattr(args, name, few if drawn else many)
    shutil.rmtree(args.work, ignore_errors=True)
    args.work.mkdir(parents=True)
    folder = args.work / "drawn" if drawn else args.photos
    if drawn:
        write_dataset(folder, weights_path("face_landmarker"), args.old + 2 * args.batch, 2, 256, 7, args.workers)
    photos = {each.name: sorted(each.glob("*.jpg")) for each in sorted(folder.iterdir()) if each.is_dir()}
    cast = cast_of(photos, args.old, args.batch, 0 if drawn else args.batch // 10)
    checkout = check_out(args.work)
    for name, pictures in cast.old.items():
        (checkout.root / "data" / "old" / name).mkdir(parents=True)
        for picture in pictures:
            shutil.copy(picture, checkout.root / "data" / "old" / name / picture.name)
    config = settings(args, "drawn by this project, MIT" if drawn else "LFW, a research benchmark, no licence stated")
    report: dict[str, Any] = {"machine": describe_machine(), "settings": config, "runs": {}}
    runs = report["runs"]

    def note(name: str, outcome: dict[str, Any]) -> None:
        runs[name] = outcome
        write_json(args.out, report)

    print("first: photographs alone", flush=True)
    note("first", retrain(checkout, config))
    truth: dict[str, Any] = {"clips": {}}
    for camera, people, seed in (("night", cast.batches[0], 1), ("day", cast.batches[1], 2)):
        filmed = film(checkout, people, camera, seed, args.workers)
        truth["clips"] |= filmed["clips"]
        asked = config if camera == "night" else _unforced(config)
        outcome = retrain(checkout, asked)
        seen = score(checkout, truth, old_splits(cast.old))
        note(camera, outcome | {"people": seen})
        if outcome["compared"]:
            print(f"  without {len(seen['leaked_keys'])} keys of people who are in training, too:", flush=True)
            note(camera, runs[camera] | {"compared_without_leaks": show(gains_without(checkout, seen["leaked_keys"]))})
    forced = config | {"retraining": config["retraining"] | {"decision": {"force": True}}}
    print("day, forced", flush=True)
    note("forced", retrain(checkout, forced))
    text, seconds, _ = checkout.run("facerecon", "rollback", NAME, "--reason", "the scenario ends")
    print(f"  {text.strip()}", flush=True)
    note("rollback", {"said": text.strip(), "seconds": round(seconds)})
    text, _, _ = checkout.run("facerecon", "models", "--lineage", f"{NAME}@champion")
    report["lineage"] = text.splitlines()
    write_json(args.out, report)
    print(f"written: {args.out}")


def _unforced(config: dict[str, Any]) -> dict[str, Any]:
    """The config with the decision left to the figures."""
    decision = {"min_people": config["retraining"]["decision"].get("min_people", 20)}
    return config | {"retraining": config["retraining"] | {"decision": decision}}


def old_splits(people: Mapping[str, Sequence[Path]]) -> dict[str, str]:
    """The split of each person in photographs."""
    from facerecon.data.settings import SplitShares
    from facerecon.data.splits import split_of

    return {name: split_of(name, SplitShares()) for name in people}


if __name__ == "__main__":
    main()
