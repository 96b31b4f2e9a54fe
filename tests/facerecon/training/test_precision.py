"""16 bits where they are faster, and only there."""

from typing import Any

import pytest
import torch

from facerecon.errors import FaceReconError
from facerecon.training.precision import precision_of
from facerecon.training.processes import launch
from facerecon.training.settings import LoopSettings


@pytest.mark.parametrize(
    ("asked", "able", "expected"),
    [
        ("auto", {"amx_bf16": True, "avx512_bf16": False}, "bf16-mixed"),
        ("auto", {"amx_bf16": False, "avx512_bf16": True}, "bf16-mixed"),
        ("auto", {"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}, "32-true"),
        ("auto", {"architecture": "aarch64"}, "32-true"),
        ("32-true", {"amx_bf16": True}, "32-true"),
        ("bf16-mixed", {"amx_bf16": False}, "bf16-mixed"),
    ],
)
def test_16_bits_are_taken_where_the_processor_has_instructions_for_them(
    asked: str, able: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    settings = LoopSettings(precision=asked, accelerator="cpu")
    assert precision_of(settings) == expected
    assert launch(settings).strategy.precision.precision == expected


def test_fp16_is_refused_without_a_gpu() -> None:
    with pytest.raises(FaceReconError, match=r"training\.precision = '16-mixed' needs a GPU"):
        precision_of(LoopSettings(precision="16-mixed", accelerator="cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_16_bits_are_taken_on_a_gpu_that_has_them() -> None:
    able = torch.cuda.get_device_capability() >= (8, 0)
    assert launch(LoopSettings()).strategy.precision.precision == ("bf16-mixed" if able else "32-true")
