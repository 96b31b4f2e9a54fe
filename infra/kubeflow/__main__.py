"""Write the IR of both pipelines: `make kubeflow`."""

from pathlib import Path

import click

import ops  # noqa: F401  # switches telemetry off before any tool is imported
from facerecon.errors import FaceReconError
from facerecon.workspace import outputs_folder


@click.command()
@click.option("--training", "training_config", type=click.Path(path_type=Path), help="the YAML file of the training")
@click.option("--retraining", "retraining_config", type=click.Path(path_type=Path), help="that of the retraining")
def main(training_config: Path | None, retraining_config: Path | None) -> None:
    """Write training.yaml and retraining.yaml, which Kubeflow Pipelines takes, to outputs/kubeflow/.

    Of one whose file is named that one alone; without a file both, by their default configs.
    """
    try:
        from infra.kubeflow.compile import write_ir
    except ImportError as error:
        raise FaceReconError(f"{error.name} is not installed: run `make install-infra`") from error
    from pipelines.retraining import retraining
    from pipelines.training import training

    both = training_config is None and retraining_config is None
    for pipeline, config in ((training, training_config), (retraining, retraining_config)):
        if config is None and not both:
            continue
        path = outputs_folder() / "kubeflow" / f"{pipeline.name}.yaml"
        write_ir(pipeline, config, path)
        click.echo(str(path))


if __name__ == "__main__":
    main()
