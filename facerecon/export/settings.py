"""What the ONNX file must fulfil."""

from pydantic import Field

from facerecon.settings import Settings


class OnnxSettings(Settings):
    """The ONNX file and what it must fulfil."""

    min_parity_psnr: float = Field(
        90.0,
        ge=0,
        description="dB for a peak of 2, ONNX Runtime against PyTorch; 90: a hundredth of one of 256 steps",
    )
    parity_faces: int = Field(8, ge=1, le=256)
