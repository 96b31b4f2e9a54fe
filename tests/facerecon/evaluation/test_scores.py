"""The table of scores: what was put in comes out, bit for bit, and means are what they say."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facerecon.evaluation.keys import MetricKey
from facerecon.evaluation.scores import COLUMNS, Figure, Scores, Summary, summarise

BRUSH = [MetricKey("gate", "hole_psnr", "brush", level) for level in (1, 2, 3)]
PLAIN = MetricKey("test", "nme", "features/nose")

keys = st.builds(
    MetricKey,
    st.sampled_from(["test", "gate", "test_dark"]),
    st.sampled_from(["hole_psnr", "lpips_vgg"]),
    st.sampled_from(["brush", "features/nose"]),
    st.integers(-1, 3),
)
rows = st.dictionaries(
    st.text("abc123", min_size=1, max_size=4), st.floats(allow_nan=False) | st.just(math.nan), min_size=1, max_size=6
)


@st.composite
def tables(draw: st.DrawFn) -> Scores:
    """Scores with infinite figures and NaN among them."""
    scores = Scores()
    for column in draw(st.lists(st.tuples(keys, st.sampled_from(["model", "telea"])), unique=True, max_size=6)):
        values = draw(rows)
        scores.add(*column, values.keys(), values.values())
    return scores


def bits(scores: Scores) -> list[tuple[object, ...]]:
    return [(*column, scores.faces(*column), scores.values(*column).tobytes()) for column in scores]


def filled(**levels: list[float]) -> Scores:
    """``brush_1=[...]``: values of the model at a level of brush masks on the gate."""
    scores = Scores()
    for name, values in levels.items():
        key = MetricKey("gate", "hole_psnr", "brush", int(name[-1]))
        scores.add(key, "model", [f"face {number}" for number in range(len(values))], values)
    return scores


@given(tables())
def test_a_parquet_file_gives_back_the_same_scores_bit_for_bit(scores: Scores) -> None:
    again = Scores.from_bytes(scores.to_bytes())
    assert bits(again) == bits(scores)
    assert again == scores
    assert again.to_bytes() == scores.to_bytes()
    assert tuple(scores.to_frame().columns) == COLUMNS
    assert len(scores.to_frame()) == len(scores)


@given(tables(), st.sets(st.text("abc123", min_size=1, max_size=2)))
def test_a_subset_is_of_its_faces_under_its_own_name(scores: Scores, chosen: set[str]) -> None:
    one = Scores()
    for key, method in scores:
        if key.face_set == "test":
            one.add(key, method, scores.faces(key, method), scores.values(key, method))
    part = one.subset("chosen", chosen)
    assert {key.face_set for key in part.keys} <= {"chosen"}
    assert set(part.to_frame()["face"]) == set(one.to_frame()["face"]) & chosen
    for key, method in part:
        whole = MetricKey("test", key.metric, key.case, key.level)
        values = dict(zip(one.faces(whole, method), one.values(whole, method), strict=True))
        expected = [values[face] for face in part.faces(key, method)]
        assert part.values(key, method) == pytest.approx(expected, nan_ok=True)


def test_values_are_added_batch_by_batch_in_order() -> None:
    scores = Scores()
    scores.add(PLAIN, "model", ["b", "a"], [1.0, 2.0])
    scores.add(PLAIN, "telea", ["b"], [7.0])
    scores.add(PLAIN, "model", ["c"], np.array([3.0], np.float32))
    assert scores.faces(PLAIN, "model") == ("b", "a", "c")
    assert scores.values(PLAIN, "model").tolist() == [1, 2, 3]
    assert scores.values(PLAIN, "model").dtype == np.float64
    assert scores.methods(PLAIN) == ("model", "telea")
    assert scores.keys == (PLAIN,)
    assert len(scores) == 4


@pytest.mark.parametrize("faces", [["a"], ["c", "c"], ["c", "a"]])
def test_a_face_has_one_value(faces: list[str]) -> None:
    scores = Scores()
    scores.add(PLAIN, "model", ["a", "b"], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"test/nme/features_nose of model: one value a face"):
        scores.add(PLAIN, "model", faces, [3.0, 4.0])
    assert scores.faces(PLAIN, "model") == ("a", "b")


def test_what_was_not_measured_is_a_key_error() -> None:
    scores = filled(brush_1=[1.0])
    with pytest.raises(KeyError):
        scores.values(BRUSH[0], "telea")
    with pytest.raises(KeyError, match="no lpips of brush on gate"):
        scores.over_levels("gate", "lpips", "brush", "model")


def test_a_union_replaces_whole_columns() -> None:
    both = filled(brush_1=[1.0], brush_2=[2.0]) | filled(brush_2=[5.0], brush_3=[6.0])
    assert [both.values(key, "model").tolist() for key in BRUSH] == [[1], [5], [6]]


def test_means_over_levels_weigh_levels_alike() -> None:
    scores = filled(brush_3=[4.0, 8.0], brush_1=[1.0, 2.0])
    assert scores.levels("gate", "hole_psnr", "brush") == [1, 3]
    assert scores.over_levels("gate", "hole_psnr", "brush", "model").tolist() == [2.5, 5.0]
    assert scores.mean_over_levels("gate", "hole_psnr", "brush", "model") == 3.75
    assert scores.mean(BRUSH[0], "model") == 1.5
    uneven = filled(brush_1=[1.0, 2.0], brush_2=[5.5])
    assert uneven.mean_over_levels("gate", "hole_psnr", "brush", "model") == 3.5
    with pytest.raises(ValueError, match="its levels have different faces"):
        uneven.over_levels("gate", "hole_psnr", "brush", "model")


def test_a_case_without_levels_is_its_own_mean() -> None:
    scores = Scores()
    scores.add(PLAIN, "model", ["a", "b"], [1.0, 4.0])
    assert scores.levels("test", "nme", "features/nose") == [-1]
    assert scores.over_levels("test", "nme", "features/nose", "model").tolist() == [1, 4]
    assert scores.mean_over_levels("test", "nme", "features/nose", "model") == 2.5


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_mean_hides_a_figure_that_is_not_finite(bad: float) -> None:
    scores = filled(brush_1=[1.0, 2.0], brush_2=[bad, 2.0])
    assert scores.mean(BRUSH[1], "model") is None
    assert scores.mean_over_levels("gate", "hole_psnr", "brush", "model") is None
    assert scores.mean(BRUSH[2], "model") is None
    assert scores.mean_over_levels("gate", "hole_psnr", "noise", "model") is None


def test_figures_summarise_each_column_for_strict_json() -> None:
    scores = filled(brush_1=[1.0, 3.0, math.inf])
    [figure] = scores.figures()
    assert figure == Figure(BRUSH[0], "model", Summary(mean=2.0, std=1.0, n=3, infinite=1))
    assert json.loads(json.dumps(figure.as_dict(), allow_nan=False))["n"] == 3
    with pytest.raises(ValueError, match="not a number"):
        filled(brush_1=[math.nan]).figures()


def test_summary_refuses_nan_and_nothing() -> None:
    with pytest.raises(ValueError, match="not a number"):
        summarise([1.0, math.nan])
    with pytest.raises(ValueError, match="no figures"):
        summarise([])
    assert summarise([2.0]) == Summary(mean=2.0, std=0.0, n=1, infinite=0)
    assert summarise([math.inf] * 2) == Summary(mean=None, std=None, n=2, infinite=2)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_a_summary_does_not_depend_on_the_order_of_faces(values: list[float], shuffle: object) -> None:
    before = summarise(values)
    shuffle.shuffle(values)  # type: ignore[attr-defined]
    assert summarise(values) == before
    assert before.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert before.std == pytest.approx(np.std(values), abs=1e-9)
