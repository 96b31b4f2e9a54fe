"""The confidence head uses all of its inputs, at any fold."""

import pytest
import torch

from facerecon.models.layers.confidence import ConfidenceHead, box_filter


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_box_filter_is_the_mean_of_the_window(size: int) -> None:
    mask = (torch.rand(1, 1, 6, 7, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    mean, half = box_filter(mask, size), size // 2
    for row in range(6):
        for column in range(7):
            window = mask[0, 0, max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
            assert mean[0, 0, row, column].item() == pytest.approx(window.mean().item(), abs=1e-6)


@pytest.mark.parametrize("fold", [1, 2, 4])
def test_the_confidence_head_uses_every_scale_the_mask_and_the_prediction(fold: int) -> None:
    torch.manual_seed(0)
    head = ConfidenceHead([16, 8, 4], fold).eval()
    size = 16 * fold
    inputs, prediction = torch.rand(1, 4, size, size), torch.rand(1, 3, size, size)
    decoded = [torch.rand(1, 16, 4, 4), torch.rand(1, 8, 8, 8), torch.rand(1, 4, 16, 16)]
    with torch.no_grad():
        before = head(inputs, prediction, decoded)
        assert before.shape == (1, 1, size, size)
        assert not torch.equal(head(inputs.flip(1), prediction, decoded), before)
        assert not torch.equal(head(inputs, -prediction, decoded), before)
        for index in range(3):
            changed = [-features if index == place else features for place, features in enumerate(decoded)]
            assert not torch.equal(head(inputs, prediction, changed), before)
