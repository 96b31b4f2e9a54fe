"""Landmarks: the 68 points of a face in three dimensions and its depth, in poor video, too."""

from facerecon.tasks import register_task
from facerecon.tasks.base import Task

register_task(
    Task.of_package(
        "landmarks",
        __name__,
        {
            "cases": ("degradations",),
            "training": ("degradations", "model", "training", "seed"),
            "evaluation": ("degradations", "evaluation"),
            "gate": ("promotion",),
        },
    )
)
