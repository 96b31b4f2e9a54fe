"""Restoration: a degraded image of an aligned face is made clear, and larger where the model enlarges."""

from facerecon.tasks import register_task
from facerecon.tasks.base import Task

register_task(
    Task.of_package(
        "restoration",
        __name__,
        {
            "cases": ("degradations", "model", "evaluation"),
            "training": ("degradations", "model", "training", "seed"),
            "evaluation": ("degradations", "evaluation"),
            "gate": ("promotion",),
        },
    )
)
