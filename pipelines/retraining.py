"""The retraining pipeline: new clips in, and, if it is worth it, a model that is trained on from the champion."""

import json
import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from facerecon.data.collected.ledger import Ledger
from facerecon.data.ingest import source_fingerprint
from facerecon.data.settings import licences_of
from facerecon.data.sources import source_modules
from facerecon.files import digest_of, write_json
from facerecon.retraining.settings import RetrainingRun, retraining_run
from facerecon.run import RunSettings, parse_as
from facerecon.tasks import get_task
from facerecon.workspace import PROJECT, collected_folder, state_folder
from ops.collecting import waiting
from ops.deciding import champion_of
from ops.faults import time_limit
from ops.initial_weights import InitialWeights, alias, resolve
from ops.lineage import commit, onnx_metadata, pretrained_of, run_provenance, step_digests
from ops.outcome import nothing_to_do, show
from ops.pipeline import CheckedPipeline
from ops.registry import ANCHOR, CHAMPION
from ops.retraining_lock import retraining_lease, retraining_lock
from ops.stack.expected import expected_commit
from pipelines.scheduled import schedule_retraining
from steps.align import align
from steps.collect import collect
from steps.decide import decide
from steps.freeze_cases import freeze_cases
from steps.freeze_sets import freeze_sets
from steps.ingest import ingest
from steps.optional import evaluate, export, promote, publish, train
from steps.tell import tell
from steps.validate import validate

LOG = logging.getLogger(__name__)

OLD_CODE = "old code"
"""The tag of a run in an image that is of another commit than the stack expects."""

DEFAULT_FILE = PROJECT / "configs" / "retraining.yaml"
"""What a run without `-c` uses."""


def run_retraining(settings: dict[str, Any]) -> None:
    """New clips are taken in and, with the photos there were, cut out and validated; it is decided whether to retrain.

    If so a model is trained from the champion, measured, exported and judged as in the training pipeline. ``settings``
    are those of a retraining as plain values.
    """
    wanted = parse_as(retraining_run, settings, "settings")
    run, initial = training_of(wanted)
    task, code = get_task(run.task), step_digests(run, STEP_NAMES)

    def part(name: Any) -> dict[str, Any]:
        return run.values(*task.fields[name])

    old_modules, modules = (source_modules(of.source for of in data) for data in (wanted.data, run.data))
    old_photos, _ = ingest(
        modules=old_modules,
        fingerprint=source_fingerprint(wanted.data, PROJECT),
        code=code["ingest"],
        id="ingest_old",
        **wanted.values("data"),
    )
    old_faces = align(photos=old_photos, alignment=run.alignment, modules=old_modules, id="align_old")
    chosen = wanted.retraining
    collection, fingerprint = collect(old_faces=old_faces, inbox=chosen.inbox, settings=chosen.collect)
    photos, passed_over = ingest(modules=modules, fingerprint=fingerprint, code=code["ingest"], **run.values("data"))
    cut_out = align(photos=photos, alignment=run.alignment, modules=modules)
    valid, data_docs, account = validate(
        faces=cut_out,
        passed_over=passed_over,
        validation=run.validation,
        code=code["validate"],
        shares=run.data[0].splits,
    )
    faces, about = freeze_sets(faces=valid)
    cases = freeze_cases(faces=faces, task=task.name, settings=part("cases"), code=code["freeze_cases"])
    given = {"faces": faces, "cases": cases, "task": task.name}
    plan = decide(
        settings=chosen.decision,
        probe=part("probe") if "probe" in task.fields else {},
        attempt={"config": run.name, "config_digest": run.digest, "code_digest.train": code["train"]},
        champion=initial,
        collection=collection,
        **given,
    )
    result = train(plan=plan, settings=part("training"), code=code["train"], initial=initial, **given)
    made = {"plan": plan, "training_result": result}
    others = others_of(run.name, initial)
    evaluation = evaluate(settings=part("evaluation"), code=code["evaluate"], others=others, **made, **given)
    exported, model_uri = export(onnx=run.onnx, metadata=onnx_metadata(run), code=code["export"], **made, **given)
    decision, comparison = promote(
        model_uri=model_uri,
        settings=part("gate"),
        config=run.name,
        licences=licences_of(run.data),
        pretrained=sorted(pretrained_of(run)),
        code=code["promote"],
        parent=None if initial is None else initial.digest,
        **made,
        **given,
    )
    publish(
        settings=run.model_dump(mode="json"),
        faces=faces,
        cases=cases,
        evaluation=evaluation,
        exported=exported,
        decision=decision,
        comparison=comparison,
        data_docs=data_docs,
        account=account,
        code=code,
        provenance=run_provenance(run, initial) | _old_code(),
        about=about,
        folder=f"{run.name}-retraining",
        others=others,
        collection=collection,
        **made,
    )
    tell(
        name=run.name,
        collection=collection,
        plan=plan,
        about=about,
        telling=chosen.telling,
        decision=decision,
        after="publish",
    )


def _old_code() -> dict[str, str]:
    """A tag of a run in an image that is of another commit than the stack expects."""
    expected = expected_commit()
    return {} if expected is None else {"git_commit_expected": expected}


def training_of(wanted: RetrainingRun) -> tuple[RunSettings, InitialWeights | None]:
    """The settings of the training that a retraining would do now, and the champion's weights, if there is one."""
    run = wanted.training_run(champion_of(wanted.name))
    return run, resolve(run)


def others_of(config: str, champion: InitialWeights | None) -> dict[str, InitialWeights]:
    """The models beside which a retrained one is measured on today's test: the champion there was, and the anchor."""
    if champion is None:
        return {}
    anchor = alias(config, ANCHOR)
    beside = {} if anchor is None or anchor.digest == champion.digest else {ANCHOR: anchor}
    return {CHAMPION: champion, **beside}


STEPS = (ingest, align, validate, freeze_cases, train, evaluate, export, promote, publish)
STEP_NAMES = tuple(step.name for step in STEPS)
ALL_NAMES = (*STEP_NAMES, "ingest_old", "align_old", "collect", "freeze_sets", "decide", "tell")


class RetrainingPipeline(CheckedPipeline):
    """One run at a time, ended after its time; where nothing is new since the last, none is begun.

    With ``schedule`` in its file the orchestrator starts runs, at set times.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._file is None:
            return self.with_options()()
        path, file = self._file
        if file.cron is not None:
            return schedule_retraining(path, file)
        wanted = file.settings
        assert isinstance(wanted, RetrainingRun)
        if (expected := expected_commit()) is not None:
            LOG.warning(
                "old code: this image was made of commit %s, and the stack expects %s: make the image again, and run "
                "the command that registered the schedule",
                commit()[:12],
                expected[:12],
            )
            self.configure(tags=[OLD_CODE])
        limit = wanted.retraining.max_hours
        in_time = nullcontext() if limit is None else time_limit(limit, "retraining.max_hours")
        with retraining_lock("retraining"), retraining_lease("retraining"), in_time:
            inbox = wanted.retraining.inbox
            found = waiting(inbox)
            if not found.new and _finished(wanted) == _present(wanted):
                show(nothing_to_do(inbox.path, found))
                return None
            outcome = super().__call__(*args, **kwargs)
            write_json(_finished_path(wanted), {"rested_on": _present(wanted)})
            return outcome


def _present(wanted: RetrainingRun) -> str:
    """A digest of all that a run would rest on now, but for new clips."""
    run, initial = training_of(wanted)
    return digest_of(
        {
            "settings": wanted.digest,
            "code": step_digests(run, (*STEP_NAMES, "collect", "decide", "freeze_sets")),
            "old": source_fingerprint(wanted.data, PROJECT),
            "collected": Ledger.read(collected_folder()).digest,
            "champion": None if initial is None else initial.digest,
        }
    )


def _finished(wanted: RetrainingRun) -> str:
    """What the last run that ended well rested on, "" if none did."""
    try:
        return str(json.loads(_finished_path(wanted).read_text(encoding="utf-8"))["rested_on"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _finished_path(wanted: RetrainingRun) -> Path:
    return state_folder() / "retraining" / f"{wanted.name}.json"


retraining = RetrainingPipeline(
    name="retraining",
    entrypoint=run_retraining,
    steps=ALL_NAMES,
    default_file=DEFAULT_FILE,
    settings_of=retraining_run,
)
"""What `zenml pipeline run retraining` runs."""
