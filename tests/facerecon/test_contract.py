"""Signatures check arrays: what passes is what a model may be given, and what does not is told in one line."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facerecon.contract import (
    INPAINTING,
    SIGNATURES,
    Signature,
    Value,
    normalise,
    register_signature,
    shape_of,
    to_uint8,
)
from facerecon.errors import FaceReconError
from facerecon.evaluation.metrics import to_uint8 as to_uint8_of_evaluation


def inputs(count: int = 2, height: int = 3, width: int = 5) -> dict[str, np.ndarray]:
    """Images in [-1, 1] of any kind and masks of which half is hole."""
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, (count, 3, height, width)).astype(np.float32)
    return {"image": image, "mask": (rng.random((count, 1, height, width)) < 0.5).astype(np.float32)}


def test_good_inputs_pass_with_their_sizes_and_the_hidden_pixels_are_zero() -> None:
    given_arrays = inputs()
    hole = np.broadcast_to(given_arrays["mask"] == 1, given_arrays["image"].shape)
    given_arrays["image"][hole] = np.nan
    arrays, sizes = INPAINTING.checked(given_arrays)
    assert sizes == {"N": 2, "H": 3, "W": 5}
    assert (arrays["image"][hole] == 0).all()
    assert np.array_equal(arrays["image"][~hole], given_arrays["image"][~hole])
    assert np.array_equal(arrays["mask"], given_arrays["mask"])
    assert np.isnan(given_arrays["image"][hole]).all(), "the caller's array was changed"


def test_a_view_becomes_an_array_that_lies_in_order() -> None:
    arrays, _ = INPAINTING.checked({name: array[:, :, ::-1] for name, array in inputs().items()})
    assert all(array.flags.c_contiguous for array in arrays.values())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mask": None}, r"inputs \[image\]; expected \[image, mask\]"),
        ({"mass": np.zeros((2, 1, 3, 5), np.float32)}, r"inputs \[image, mask, mass\]; expected \[image, mask\]"),
        ({"image": np.zeros((2, 3, 3, 5))}, r"image: float64 \[2, 3, 3, 5\]; expected float32 \[N, 3, H, W\]: convert"),
        ({"image": np.zeros((3, 3, 5), np.float32)}, r"image: float32 \[3, 3, 5\]; expected \[N, 3, H, W\]"),
        ({"image": np.zeros((2, 4, 3, 5), np.float32)}, r"image: float32 \[2, 4, 3, 5\]; expected \[N, 3, H, W\]"),
        ({"image": np.zeros((0, 3, 3, 5), np.float32)}, r"image: float32 \[0, 3, 3, 5\]: it is empty"),
        (
            {"mask": np.zeros((2, 1, 3, 4), np.float32)},
            r"mask: float32 \[2, 1, 3, 4\]; expected \[N, 1, H, W\] where N = 2, H = 3, W = 5",
        ),
        ({"mask": np.full((2, 1, 3, 5), 0.5, np.float32)}, "mask holds 0.5; expected 0 or 1"),
        ({"mask": np.full((2, 1, 3, 5), np.nan, np.float32)}, "mask holds nan; expected 0 or 1"),
        ({"image": np.full((2, 3, 3, 5), 1.5, np.float32)}, "image holds 1.5; expected -1 to 1"),
        ({"image": np.full((2, 3, 3, 5), np.nan, np.float32)}, "image holds nan; expected -1 to 1"),
    ],
)
def test_what_is_no_such_input_is_one_line(changed: dict[str, np.ndarray | None], said: str) -> None:
    arrays = {name: array for name, array in (inputs() | changed).items() if array is not None}
    with pytest.raises(FaceReconError, match=said):
        INPAINTING.checked(arrays)


def test_a_size_that_is_fixed_is_the_only_one() -> None:
    assert INPAINTING.checked(inputs(), {"H": 3})[1] == {"N": 2, "H": 3, "W": 5}
    with pytest.raises(FaceReconError, match=r"image: float32 \[2, 3, 3, 5\]; expected \[N, 3, H, W\] where H = 4"):
        INPAINTING.checked(inputs(), {"H": 4})


def test_zeros_are_inputs_of_the_sizes_asked_for() -> None:
    zeros = INPAINTING.zeros(N=2, H=3, W=5)
    assert {name: array.shape for name, array in zeros.items()} == {"image": (2, 3, 3, 5), "mask": (2, 1, 3, 5)}
    INPAINTING.checked(zeros)


def test_a_scaled_symbol_is_the_scale_times_the_symbol() -> None:
    value = Value("restoration", ("N", 3, "sH", "sW"), -1, 1)
    assert shape_of(value, {"N": 2, "H": 3, "W": 5, "s": 4}) == (2, 3, 12, 20)


@pytest.mark.parametrize("dim", ["n", "2H", "HW", ""])
def test_a_symbol_is_a_capital_letter(dim: str) -> None:
    with pytest.raises(ValueError, match=f"image: dimension '{dim}' is neither a number nor a symbol"):
        Value("image", ("N", dim), 0, 1)


def test_a_tasks_signature_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SIGNATURES["inpainting"] is INPAINTING
    monkeypatch.setitem(SIGNATURES, "toy", INPAINTING)  # taken away afterwards
    signature = register_signature(Signature("toy", (), ()))
    assert SIGNATURES["toy"] is signature


def test_every_pixel_value_comes_back_from_its_normalised_one() -> None:
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    values = normalise(images)
    assert values.dtype == np.float32
    assert values.shape == (1, 3, 16, 16)
    assert (values.min(), values.max()) == (-1, 1)
    assert np.array_equal(to_uint8(values), images)


@given(st.lists(st.floats(-2, 2, width=32), min_size=12, max_size=12))
def test_pixels_are_those_that_evaluation_measures(values: list[float]) -> None:
    images = np.array(values, np.float32).reshape(1, 3, 2, 2)
    measured = to_uint8_of_evaluation(torch.from_numpy(images)).numpy()
    assert np.array_equal(to_uint8(images), measured.transpose(0, 2, 3, 1))
