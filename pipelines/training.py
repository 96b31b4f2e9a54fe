"""The training pipeline: photographs in, a measured, exported and judged model out."""

from facerecon.corruption.settings import MaskSettings
from facerecon.data.alignment import AlignmentSettings
from facerecon.data.ingest import source_fingerprint
from facerecon.data.settings import DataSettings
from facerecon.data.validation import resolve_suites
from facerecon.data.validation.settings import ValidationSettings
from facerecon.evaluation.promotion import PromotionSettings
from facerecon.evaluation.settings import EvaluationSettings
from facerecon.export.settings import OnnxSettings
from facerecon.models.settings import ModelSettings
from facerecon.run import RunSettings
from facerecon.training.settings import TrainingSettings
from facerecon.workspace import PROJECT
from ops.code import code_digest
from ops.lineage import onnx_metadata, weights_used
from ops.pipeline import CheckedPipeline
from steps.align import align
from steps.evaluate import evaluate
from steps.export import export
from steps.ingest import ingest
from steps.make_masks import make_masks
from steps.promote import promote
from steps.publish import publish
from steps.train import train
from steps.validate import validate

DEFAULT = RunSettings()


def run_training(
    name: str = DEFAULT.name,
    seed: int = DEFAULT.seed,
    data: DataSettings = DEFAULT.data,
    alignment: AlignmentSettings = DEFAULT.alignment,
    validation: ValidationSettings = DEFAULT.validation,
    masks: MaskSettings = DEFAULT.masks,
    model: ModelSettings = DEFAULT.model,
    training: TrainingSettings = DEFAULT.training,
    evaluation: EvaluationSettings = DEFAULT.evaluation,
    onnx: OnnxSettings = DEFAULT.onnx,
    promotion: PromotionSettings = DEFAULT.promotion,
) -> None:
    """Photos are listed, faces cut out and validated, masks frozen; a model is trained, measured, exported, judged."""
    validation = resolve_suites(validation, PROJECT)
    settings = RunSettings(
        name=name,
        seed=seed,
        data=data,
        alignment=alignment,
        validation=validation,
        masks=masks,
        model=model,
        training=training,
        evaluation=evaluation,
        onnx=onnx,
        promotion=promotion,
    )
    photos = ingest(data=data, fingerprint=source_fingerprint(data, PROJECT))
    faces, data_docs = validate(faces=align(photos=photos, alignment=alignment), validation=validation)
    frozen = make_masks(masks=masks, size=alignment.size)
    trained = train(faces=faces, masks=frozen, mask_settings=masks, model_settings=model, training=training, seed=seed)
    figures = evaluate(
        training=trained,
        faces=faces,
        masks=frozen,
        mask_settings=masks,
        evaluation=evaluation,
        taught_by=settings.training.losses.networks,
    )
    exported, model_uri = export(
        training=trained, faces=faces, masks=frozen, onnx=onnx, metadata=onnx_metadata(settings)
    )
    decision, comparison = promote(
        training=trained,
        model_uri=model_uri,
        faces=faces,
        masks=frozen,
        config=name,
        licence=data.licence,
        pretrained=weights_used(settings),
        promotion=promotion,
    )
    publish(
        settings=settings,
        faces=faces,
        masks=frozen,
        training=trained,
        evaluation=figures,
        exported=exported,
        decision=decision,
        comparison=comparison,
        data_docs=data_docs,
        code={step: code_digest(f"steps.{step}") for step in STEP_NAMES},
    )


STEPS = (ingest, align, validate, make_masks, train, evaluate, export, promote, publish)
STEP_NAMES = tuple(step.name for step in STEPS)

training = CheckedPipeline(name="training", entrypoint=run_training, steps=STEP_NAMES)
