"""Landmarks: the 68 points of a face in three dimensions and its depth, in poor video, too."""

from facerecon.tasks import register_task
from facerecon.tasks.base import Task

register_task(
    Task(
        name="landmarks",
        module=__name__,
        fields={
            "cases": ("degradations",),
            "training": ("degradations", "model", "training", "seed"),
            "evaluation": ("degradations", "evaluation"),
            "gate": ("promotion",),
        },
        modules={
            "settings": f"{__name__}.settings",
            "cases": f"{__name__}.cases",
            "training": f"{__name__}.training",
            "evaluation": f"{__name__}.evaluate",
            "details": f"{__name__}.details",
            "gate": f"{__name__}.gate",
            "export": f"{__name__}.export",
            "report": f"{__name__}.report",
        },
    )
)
