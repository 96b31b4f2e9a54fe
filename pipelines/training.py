"""The training pipeline: photographs in, a measured, exported and judged model out."""

from typing import Any

from facerecon.data.ingest import source_fingerprint
from facerecon.data.settings import licences_of
from facerecon.data.sources import source_modules
from facerecon.run import parse_settings
from facerecon.tasks import get_task
from facerecon.workspace import PROJECT
from ops.initial_weights import resolve
from ops.lineage import onnx_metadata, pretrained_of, run_provenance, step_digests
from ops.pipeline import CheckedPipeline
from steps.align import align
from steps.evaluate import evaluate
from steps.export import export
from steps.freeze_cases import freeze_cases
from steps.ingest import ingest
from steps.promote import promote
from steps.publish import publish
from steps.train import train
from steps.validate import validate


def run_training(settings: dict[str, Any]) -> None:
    """Photos are listed, faces cut out and validated, cases frozen; a model is trained, measured, exported, judged.

    ``settings`` are a run's settings as plain values.
    """
    run = parse_settings(settings, "settings")
    task, code, initial = get_task(run.task), step_digests(run, STEP_NAMES), resolve(run)

    def part(name: Any) -> dict[str, Any]:
        return run.values(*task.fields[name])

    modules = source_modules(source.source for source in run.data)
    fingerprint = source_fingerprint(run.data, PROJECT)
    photos, passed_over = ingest(modules=modules, fingerprint=fingerprint, code=code["ingest"], **run.values("data"))
    cut_out = align(photos=photos, alignment=run.alignment, modules=modules)
    faces, data_docs, account = validate(
        faces=cut_out,
        passed_over=passed_over,
        validation=run.validation,
        code=code["validate"],
        shares=run.data[0].splits,
    )
    cases = freeze_cases(faces=faces, task=task.name, settings=part("cases"), code=code["freeze_cases"])
    given = {"faces": faces, "cases": cases, "task": task.name}
    result = train(settings=part("training"), code=code["train"], initial=initial, **given)
    evaluation = evaluate(training_result=result, settings=part("evaluation"), code=code["evaluate"], **given)
    exported, model_uri = export(
        training_result=result, onnx=run.onnx, metadata=onnx_metadata(run), code=code["export"], **given
    )
    decision, comparison = promote(
        training_result=result,
        model_uri=model_uri,
        settings=part("gate"),
        config=run.name,
        licences=licences_of(run.data),
        pretrained=sorted(pretrained_of(run)),
        code=code["promote"],
        parent=None if initial is None else initial.digest,
        **given,
    )
    publish(
        settings=settings,
        faces=faces,
        cases=cases,
        training_result=result,
        evaluation=evaluation,
        exported=exported,
        decision=decision,
        comparison=comparison,
        data_docs=data_docs,
        account=account,
        code=code,
        provenance=run_provenance(run, initial),
        about={},
        folder=run.name,
    )


STEPS = (ingest, align, validate, freeze_cases, train, evaluate, export, promote, publish)
STEP_NAMES = tuple(step.name for step in STEPS)

training = CheckedPipeline(name="training", entrypoint=run_training, steps=STEP_NAMES)
"""What `zenml pipeline run training` runs."""
