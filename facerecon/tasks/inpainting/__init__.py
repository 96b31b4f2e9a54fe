"""Inpainting: what a mask hides of an aligned face is put back."""

from facerecon.tasks import register_task
from facerecon.tasks.base import Task

register_task(
    Task.of_package(
        "inpainting",
        __name__,
        {
            "cases": ("masks", "degradations", "evaluation"),
            "training": ("masks", "degradations", "model", "training", "seed"),
            "evaluation": ("masks", "degradations", "evaluation"),
            "gate": ("promotion",),
            "probe": ("promotion",),
        },
    )
)
