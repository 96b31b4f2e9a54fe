"""Starting a training from the weights of another."""

from torch import nn

from facerecon.errors import FaceReconError
from facerecon.models import model_options
from facerecon.models.settings import ModelSettings
from facerecon.models.trained import TrainedModel


def load_initial(module: nn.Module, initial: TrainedModel, settings: ModelSettings, size: int, task: str) -> None:
    """Put the weights of ``initial`` into ``module``, which was built from ``settings`` for faces of ``size`` pixels.

    Options that only schedule a training, which the family's options name as ``SCHEDULE``, may differ.

    Raises:
        FaceReconError: they were trained for another task, family, options or size; the line says which.
    """
    typed = model_options(settings.family, settings.options)
    options = typed.model_dump(mode="json")
    schedule: frozenset[str] = getattr(typed, "SCHEDULE", frozenset())
    for what, theirs, ours in (
        ("task", initial.task, task),
        ("model.family", initial.family, settings.family),
        ("alignment.size", initial.size, size),
        *(
            (f"model.options.{name}", initial.options.get(name), options.get(name))
            for name in sorted((initial.options.keys() | options.keys()) - schedule)
        ),
    ):
        if theirs != ours:
            raise FaceReconError(
                f"training.init_from: those weights were trained with {what} {theirs}, this run has {ours}: "
                "give weights of the same kind, or leave init_from out"
            )
    try:
        module.load_state_dict(initial.weights)
    except RuntimeError as error:
        raise FaceReconError(
            f"training.init_from: those weights do not fit a {settings.family} of this version of the code: "
            "leave init_from out"
        ) from error
