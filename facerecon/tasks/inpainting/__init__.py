"""Inpainting: what a mask hides of an aligned face is put back."""

from facerecon.tasks import register_task
from facerecon.tasks.base import Task

register_task(
    Task(
        name="inpainting",
        module=__name__,
        fields={
            "cases": ("masks", "degradations", "evaluation"),
            "training": ("masks", "degradations", "model", "training", "seed"),
            "evaluation": ("masks", "degradations", "evaluation"),
            "gate": ("promotion",),
            "probe": ("promotion",),
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
            "probe": f"{__name__}.probe",
        },
    )
)
