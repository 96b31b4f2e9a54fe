"""The network of landmarks: shapes, units, and what an untrained one says."""

import pytest
import torch

from facerecon.models import build_model, families_of, pretrained_weights
from facerecon.models.landmarks import Landmarks


def images(height: int, width: int) -> torch.Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("points", ["soft_argmax", "regression"])
@pytest.mark.parametrize(("height", "width"), [(64, 64), (70, 49)])
def test_outputs_have_their_shapes_and_lie_in_the_image(points: str, height: int, width: int) -> None:
    torch.manual_seed(0)
    model = build_model("multitask", {"width": 16, "points": points}).eval()
    model.mean_shape[:, :2] = 0.5
    with torch.no_grad():
        output: Landmarks = model(images(height, width))
    assert output.landmarks.shape == (2, 68, 3)
    assert output.depth.shape == (2, 1, height, width)
    assert output.confidence.shape == (2, 68)
    x, y, _ = output.landmarks.unbind(dim=2)
    assert float(x.min()) > 0
    assert float(x.max()) < 96
    assert float(y.min()) > 0
    assert float(y.max()) < 96


def test_an_untrained_regression_says_nearly_the_mean_shape() -> None:
    torch.manual_seed(0)
    model = build_model("multitask", {"width": 16, "points": "regression"}).eval()
    model.mean_shape.copy_(torch.rand(68, 3))
    found = model(images(64, 64)).landmarks
    torch.testing.assert_close(found, (64 * model.mean_shape).expand(2, -1, -1), atol=2.0, rtol=0)


def test_a_heat_map_points_where_it_is_hot() -> None:
    torch.manual_seed(0)
    model = build_model("multitask", {"width": 16}).eval()
    features = torch.zeros(1, 16, 16, 16)
    features[0, 0, 3, 12] = 1
    with torch.no_grad():
        model.heat.weight.zero_()
        model.heat.bias.zero_()
        model.heat.weight[:68, 0] = 100
    points = model._points(features, torch.zeros(1, 160, 2, 2))
    torch.testing.assert_close(points[0, :, :2], torch.tensor([12.5, 3.5]).div(16).expand(68, 2), atol=1e-4, rtol=0)


def test_it_is_a_family_of_landmarks_and_may_start_from_imagenet() -> None:
    assert families_of("landmarks") == ["multitask"]
    from facerecon.models import model_options

    assert pretrained_weights(model_options("multitask", {"backbone": "efficientnet_lite0"})) == ("efficientnet_lite0",)
    assert pretrained_weights(model_options("multitask", {})) == ()
