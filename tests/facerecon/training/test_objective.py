"""What every objective shares."""

import pytest
import torch

from facerecon.errors import DivergedError
from facerecon.training.objective import check_finite


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_is_an_error_that_names_the_terms(value: float) -> None:
    terms = {"l1": torch.tensor(0.25), "hole": torch.tensor(3.0)}
    check_finite("loss", torch.tensor(1.0), terms, 6)
    with pytest.raises(DivergedError, match=r"the loss is no longer a number at step 7 \(l1 0\.25, hole 3\): lower"):
        check_finite("loss", torch.tensor(value), terms, 6)
