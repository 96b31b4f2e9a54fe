"""Where a run's results came from: computed by itself, or served from the cache of an earlier run."""

from zenml import get_step_context, log_metadata
from zenml.client import Client
from zenml.enums import ExecutionStatus


def cache_tags() -> dict[str, str]:
    """Tags for the active pipeline run, to be called in a step that has the input ``training_result``.

    ``trained_in_run`` is the MLflow run that trained the model, ``device``, ``threads`` and ``precision`` say on what;
    ``cached_steps`` names the steps that were served from the cache. If these are all that can be, nothing was
    computed: ``repeats_run`` is the MLflow run repeated.
    """
    context = get_step_context()
    made_by = context.inputs["training_result"][0].producer_step_run_id
    assert made_by is not None
    trained_by = Client().get_run_step(made_by)
    trained_in = str(trained_by.run_metadata["mlflow_run"])
    steps = Client().get_pipeline_run(context.pipeline_run.id, include_full_metadata=True).steps
    cached = [name for name, step in steps.items() if step.status == ExecutionStatus.CACHED]
    computed = [name for name, step in steps.items() if name not in cached and step.config.enable_cache is not False]
    trained_on = {name: str(trained_by.run_metadata[name]) for name in ("device", "threads", "precision")}
    tags = {**trained_on, "trained_in_run": trained_in, "cached_steps": ",".join(cached) or "none"}
    return tags if computed else tags | {"repeats_run": trained_in}


def show_in_zenml(tags: dict[str, str]) -> None:
    """Put the tags into the pipeline run's metadata, where ZenML's dashboard shows them."""
    log_metadata(metadata=dict(tags), run_id_name_or_prefix=get_step_context().pipeline_run.id)
