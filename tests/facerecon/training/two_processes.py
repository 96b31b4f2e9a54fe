"""``python -m facerecon.training`` with a family that has no batch normalisation: started by torchrun, in a test."""

from pydantic import BaseModel
from torch import Tensor, nn

from facerecon.models import ReconstructionModel, register_model
from facerecon.training.__main__ import main


class _Options(BaseModel):
    pass


class _Plain(ReconstructionModel):
    """Two convolutions, whose gradients are sums over images: who adds them makes no difference."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(4, 16, 3, padding=1), nn.Tanh(), nn.Conv2d(16, 3, 3, padding=1), nn.Tanh()
        )

    def predict(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.layers(inputs), None


@register_model(_Options)
def two_convolutions(options: BaseModel) -> ReconstructionModel:
    """Build it."""
    return _Plain()


if __name__ == "__main__":
    main()
