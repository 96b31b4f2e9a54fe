"""What the reconstruction pipeline may be asked for, by the task of its model."""

from typing import Any

import pytest

from facerecon.errors import FaceReconError
from facerecon.inference.settings import MeasurementSettings, ReconstructionSettings, RestorationSettings, use_settings
from facerecon.run import parse_as

COMMON = {"name": "use", "inputs": ["photos"], "out": "results"}


def parsed(**given: Any) -> Any:
    return parse_as(use_settings, {**COMMON, **given}, "configs/use.yaml")


def test_the_task_says_what_may_be_asked_for() -> None:
    filled, restored = parsed(hide=["mouth"]), parsed(task="restoration", upscale=2)
    measured = parsed(task="landmarks")
    assert isinstance(measured, MeasurementSettings)
    assert (measured.task, measured.face) == ("landmarks", "all")
    assert isinstance(filled, ReconstructionSettings)
    assert isinstance(restored, RestorationSettings)
    assert (filled.task, restored.upscale, restored.model) == ("inpainting", 2, "@champion")
    # as ZenML hands them to the step
    assert parsed(**restored.model_dump(mode="json")) == restored


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing is to be hidden: give hide: [REGION] or mask: FILE, or say `task: restoration`"),
        ({"hide": ["mouth"], "upscale": 2}, "parameters.upscale: no such key"),
        ({"task": "restoration", "hide": ["mouth"]}, "hide: restoration hides nothing, it restores whole faces: leave"),
        ({"task": "restoration", "mask": "a.png"}, "mask: restoration hides nothing"),
        ({"task": "restoration", "upscale": 5}, "parameters.upscale = 5"),
        ({"task": "landmarks", "hide": ["mouth"]}, "hide: landmarks are found in the picture as it is: leave it out"),
        ({"task": "aging"}, "parameters.task: 'aging' not among inpainting, restoration, landmarks"),
    ],
    ids=["nothing", "upscale", "regions", "mask", "too large", "regions of landmarks", "unknown"],
)
def test_what_cannot_be_meant_is_one_line(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FaceReconError) as error:
        parsed(**given)
    assert said in error.value.message
    assert "\n" not in error.value.message
