"""The network of landmarks: shapes, units, what an untrained one says, and what moves its points."""

import numpy as np
import pytest
import torch

from facerecon.contract import LANDMARKS
from facerecon.export.onnx import export
from facerecon.models import build_model, families_of, pretrained_weights
from facerecon.models.landmarks import POINTS, LandmarkModel, Landmarks
from facerecon.models.multitask.refinement import CHAINS, LOOPS, Refinement, adjacency, edges
from facerecon.tasks.landmarks.export import Contract


def images(height: int, width: int) -> torch.Tensor:
    return torch.rand((2, 3, height, width), generator=torch.Generator().manual_seed(1)) * 2 - 1


every_head = pytest.mark.parametrize("points", ["soft_argmax", "regression"])
every_refinement = pytest.mark.parametrize("refine", ["none", "mlp", "graph"])
refined = pytest.mark.parametrize("neighbours", [False, True], ids=["mlp", "graph"])


def build(seed: int = 0, **options: object) -> LandmarkModel:
    torch.manual_seed(seed)
    model = build_model("multitask", {"width": 16, **options})
    assert isinstance(model, LandmarkModel)
    return model


@every_head
@every_refinement
@pytest.mark.parametrize(("height", "width"), [(64, 64), (70, 49)])
def test_outputs_have_their_shapes_and_lie_in_the_image(points: str, refine: str, height: int, width: int) -> None:
    model = build(points=points, refine=refine).eval()
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


@every_head
@every_refinement
def test_gradients_reach_every_weight(points: str, refine: str) -> None:
    model = build(points=points, refine=refine)
    found = model(images(64, 64))
    (found.landmarks.square().mean() + found.depth.square().mean() + found.confidence_logits.square().mean()).backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


@pytest.mark.parametrize(
    ("points", "refine"),
    [
        ("soft_argmax", "graph"),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                ("soft_argmax", "none"),
                ("soft_argmax", "mlp"),
                ("regression", "none"),
                ("regression", "graph"),
            )
        ),
    ],
)
def test_the_exported_file_says_the_same(points: str, refine: str) -> None:
    model = build(points=points, refine=refine).eval()
    model.mean_shape[:, :2] = 0.5
    if refine != "none":
        with torch.no_grad():  # as far as a trained one moves its points
            for step in model.refinement.steps:
                step.offsets.weight.mul_(50)
    inputs = {"image": images(64, 64).numpy()}
    exported = export(Contract(model).eval(), LANDMARKS, inputs, {}, min_parity=80)
    assert set(exported.report["parity_psnr"]) == {"landmarks", "depth", "confidence"}


@every_head
def test_what_refines_leaves_the_network_before_it_as_it_is(points: str) -> None:
    plain, *others = (build(points=points, refine=refine).eval() for refine in ("none", "mlp", "graph"))
    before = plain.state_dict()
    assert not [name for name in before if "refinement" in name]
    for other in others:
        after = other.state_dict()
        assert all(torch.equal(value, after[name]) for name, value in before.items())
        with torch.no_grad():
            moved = (other(images(64, 64)).landmarks - plain(images(64, 64)).landmarks).abs()
        assert 0 < float(moved.max()) < 3, "untrained, it hardly moves them"


def test_perceptron_and_graph_have_as_many_weights() -> None:
    counts = {
        refine: sum(value.numel() for value in build(refine=refine).parameters()) for refine in ("none", "mlp", "graph")
    }
    own = {refine: counts[refine] - counts["none"] for refine in ("mlp", "graph")}
    assert own["mlp"] > 0
    assert abs(own["graph"] - own["mlp"]) <= 0.03 * own["mlp"]


def reached(pairs: set[tuple[int, int]], start: int) -> set[int]:
    """The points that ``start`` is joined to over any number of ``pairs``."""
    found, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        new = {a + b - here for a, b in pairs if here in (a, b)} - found
        found |= new
        waiting += new
    return found


def test_the_graph_follows_the_parts_of_a_face_and_joins_them_to_one() -> None:
    pairs = set(edges())
    assert all(first != second for first, second in pairs)
    within = {(a, b) for a, b in pairs if any(a in part and b in part for part in (*CHAINS, *LOOPS))}
    parts = {frozenset(reached(within, point)) for point in range(POINTS)}
    # jaw, brows, bridge and base of the nose, eyes, outer and inner lips
    sizes = [(0, 17), (17, 5), (22, 5), (27, 4), (31, 5), (36, 6), (42, 6), (48, 12), (60, 8)]
    assert parts == {frozenset(range(first, first + size)) for first, size in sizes}
    degrees = [sum(point in pair for pair in within) for point in range(POINTS)]
    ends = [0, 16, 17, 21, 22, 26, 27, 30, 31, 35]
    assert [point for point in range(POINTS) if degrees[point] == 1] == ends, "all other chains are closed"
    assert all(degrees[point] == 2 for point in range(POINTS) if point not in ends)
    assert reached(pairs, 0) == set(range(POINTS))


def test_the_adjacency_is_symmetric_and_normalised() -> None:
    matrix = adjacency()
    torch.testing.assert_close(matrix, matrix.T, rtol=0, atol=0)
    pairs = {frozenset(pair) for pair in edges()}
    joined = {(a, b) for a, b in np.argwhere(matrix.numpy() > 0).tolist()}
    assert joined == {(a, b) for pair in pairs for a in pair for b in pair} | {(a, a) for a in range(POINTS)}
    degree = torch.tensor([1.0 + sum(point in pair for pair in pairs) for point in range(POINTS)])
    torch.testing.assert_close(matrix[0, 1], 1 / (degree[0] * degree[1]).sqrt())
    assert float(torch.linalg.eigvalsh(matrix).max()) == pytest.approx(1, abs=1e-5)


def apart() -> torch.Tensor:
    """Points [1, 68, 3] in the middles of cells of 32 x 32 that are three cells apart."""
    at = torch.arange(POINTS)
    cells = torch.stack([3 * (at % 9) + 1, 3 * (at // 9) + 1], dim=1)
    return torch.cat([(cells + 0.5) / 32, torch.zeros(POINTS, 1)], dim=1)[None]


@refined
def test_a_point_is_moved_by_what_is_seen_at_its_neighbours_in_the_graph_alone(neighbours: bool) -> None:
    torch.manual_seed(0)
    refinement = Refinement(8, neighbours)
    features = torch.randn(1, 8, 32, 32, generator=torch.Generator().manual_seed(2))
    changed, chin = features.clone(), 8
    x, y = (apart()[0, chin, :2] * 32).long()
    changed[:, :, y, x] += 5
    with torch.no_grad():
        before, after = (refinement(each, apart()) for each in (features, changed))
    moved = set(torch.nonzero((before != after).any(dim=2)[0]).flatten().tolist())
    if neighbours:
        assert {7, 8, 9, 57} <= moved
        assert not {0, 16, 19, 24, 30, 36} & moved, "it is a graph of neighbours, not of all"
    else:
        assert moved == {chin}


def test_features_are_looked_up_anew_where_the_points_have_gone() -> None:
    torch.manual_seed(0)
    refinement = Refinement(8, neighbours=False)
    first, second = refinement.steps
    with torch.no_grad():
        for step in (first, second):
            step.offsets.weight.zero_()
        first.offsets.bias.copy_(torch.tensor([10 / 32, 0.0, 0.0]))
    features = torch.zeros(1, 8, 32, 32)
    seen: list[torch.Tensor] = []
    for step in (first, second):
        step.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0, 0, :8]))
    features[:, :, 1, 1], features[:, :, 1, 11] = 1, 2
    refinement(features, apart())
    torch.testing.assert_close(torch.stack(seen), torch.tensor([1.0, 2.0])[:, None].expand(2, 8), atol=1e-4, rtol=0)
