"""An operation without a deterministic algorithm is told; every other error is one."""

from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch

from benchmarks.gpu import correctness

CONTEXT: Any = SimpleNamespace(settings=lambda *_: None)


def failing(message: str) -> Any:
    def train(*_: object) -> NoReturn:
        raise RuntimeError(message)

    return train


def test_an_operation_that_has_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "cumsum_cuda_kernel does not have a deterministic implementation, but you set"
    monkeypatch.setattr(correctness, "_train", failing(told + "\nmore"))
    assert correctness._repeats(CONTEXT, "ours", "32-true", deterministic=True) == {"refused": told}
    with pytest.raises(RuntimeError, match="cumsum"):
        correctness._repeats(CONTEXT, "ours", "32-true", deterministic=False)
    monkeypatch.setattr(correctness, "_train", failing("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        correctness._repeats(CONTEXT, "ours", "32-true", deterministic=True)


def test_algorithms_are_deterministic_meanwhile_only() -> None:
    with correctness.deterministic_algorithms(True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()
    with correctness.deterministic_algorithms(False):
        assert not torch.are_deterministic_algorithms_enabled()
