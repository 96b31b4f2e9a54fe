"""In how many bits a training computes, as this machine is able to."""

from typing import Literal

import torch

from facerecon.errors import FaceReconError
from facerecon.training.settings import LoopSettings


def precision_of(settings: LoopSettings) -> Literal["32-true", "bf16-mixed", "16-mixed"]:
    """The precision that ``settings`` ask for, on this machine.

    "auto" takes bf16 on GPUs that compute in it, and on processors whose AMX or AVX-512 do; it never takes fp16.

    Raises:
        FaceReconError: fp16 without a GPU.
    """
    on_gpu = settings.accelerator != "cpu" and torch.cuda.is_available()
    if settings.precision == "16-mixed" and not on_gpu:
        raise FaceReconError("training.precision = '16-mixed' needs a GPU: say auto, bf16-mixed or 32-true")
    if settings.precision != "auto":
        return settings.precision
    if on_gpu:
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities()
        fast = bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    return "bf16-mixed" if fast else "32-true"
