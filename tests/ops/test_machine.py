"""What trained is told as it was, in the machine's facts and in the tags that a run takes over from its training."""

from types import SimpleNamespace

import pytest
import torch

from facerecon.training.settings import LoopSettings
from ops import cache_tags
from ops.machine import machine


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_those_of_the_settings_or_else_pytorchs(threads):
    assert machine(LoopSettings(threads=threads))["threads"] == str(threads)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        assert machine(LoopSettings())["threads"] == str(threads)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_precision_is_that_of_the_settings(precision):
    assert machine(LoopSettings(precision=precision, accelerator="cpu"))["precision"] == precision


@pytest.mark.parametrize(
    "told", [{"threads": "1", "precision": "32-true"}, {"threads": "7", "precision": "bf16-mixed"}]
)
def test_a_run_says_on_what_its_model_was_trained_not_on_what_it_runs_itself(monkeypatch, told):
    trained_by = SimpleNamespace(run_metadata={"device": "a processor", "mlflow_run": "abc", **told})
    store = SimpleNamespace(
        get_run_step=lambda _: trained_by, get_pipeline_run=lambda *_, **__: SimpleNamespace(steps={})
    )
    artifact = SimpleNamespace(producer_step_run_id="id")
    context = SimpleNamespace(inputs={"training_result": [artifact]}, pipeline_run=SimpleNamespace(id="run"))
    monkeypatch.setattr(cache_tags, "get_step_context", lambda: context)
    monkeypatch.setattr(cache_tags, "Client", lambda: store)
    tags = cache_tags.cache_tags()
    assert {name: tags[name] for name in told} == told
    assert (tags["device"], tags["trained_in_run"]) == ("a processor", "abc")
