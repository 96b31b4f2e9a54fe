"""A discriminator that teaches: losses by hand, penalties, noise that fades, winning, and going on to the bit."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

import pytest
import torch
from lightning_fabric import Fabric
from pydantic import ValidationError
from torch import Tensor, nn

from facerecon.errors import DivergedError
from facerecon.models import build_model
from facerecon.models.restoration import RestorationModel
from facerecon.tasks.restoration.adversarial import (
    Adversary,
    discriminator_loss,
    generator_loss,
    gradient_share,
    noise_deviation,
    r1_penalty,
    wgan_gp_penalty,
)
from facerecon.tasks.restoration.adversarial_settings import AdversarialSettings
from facerecon.tasks.restoration.dataset import Batch
from facerecon.tasks.restoration.objective import RestorationObjective
from facerecon.tasks.restoration.training_settings import TrainingSettings
from facerecon.training.checkpoints import load_state, save_state
from facerecon.training.loop import step_seed
from facerecon.training.objective import Progress

PROJECT = Path(__file__).parents[4]
SIZE = 32
Precision = Literal["32-true", "bf16-mixed"]
STILL: dict[str, Any] = {"loss": "hinge", "noise": 0.0, "whole_norm": "none", "patch_norm": "instance"}
"""Nothing that depends on which images are in one batch, and no noise."""


@pytest.fixture(autouse=True)
def _own_randomness() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def adversary(precision: Precision = "32-true", **given: Any) -> Adversary:
    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    return Adversary(AdversarialSettings.model_validate({"width": 8, **given}), fabric, SIZE)


def stripes(count: int) -> Tensor:
    """Images that stand for real ones: stripes of some phase; what is made is noise."""
    phase = torch.rand(count, 1, 1, 1) * 6.28
    return (torch.arange(SIZE) * 0.8 + phase).sin().expand(count, 3, SIZE, SIZE).contiguous()


def noise(count: int) -> Tensor:
    return torch.rand(count, 3, SIZE, SIZE) * 2 - 1


def gradients_of_a_step(of: Adversary, pairs: list[tuple[Tensor, Tensor]], step: int = 0) -> dict[str, Tensor]:
    """What the optimizer gets, by the weight's name."""
    found: dict[str, Tensor] = {}

    def keep(*_: Any) -> None:
        found.update({name: cast(Tensor, weight.grad).clone() for name, weight in of.discriminator.named_parameters()})

    handle = of.optimizers["adam_discriminator"].register_step_pre_hook(keep)
    of.step(pairs, Progress(step, 100))
    handle.remove()
    return found


@pytest.mark.parametrize(
    ("loss", "real", "made", "of_discriminator", "of_generator"),
    [
        # rals: (mean of .5², 2.5² + mean of 1², 2²) / 2, and with the signs turned (2.5², 4.5²; 3², 4²)
        ("rals", [1.0, 3.0], [0.0, -1.0], 2.875, 12.875),
        # hinge: mean of .5, 0 + mean of 1, 0
        ("hinge", [0.5, 3.0], [0.0, -1.0], 0.75, 0.5),
    ],
)
def test_losses_are_what_they_are_by_hand(
    loss: str, real: list[float], made: list[float], of_discriminator: float, of_generator: float
) -> None:
    logits = torch.tensor(real), torch.tensor(made)
    assert float(discriminator_loss(loss, *logits)) == pytest.approx(of_discriminator)
    assert float(generator_loss(loss, *logits)) == pytest.approx(of_generator)


def test_penalties_of_a_linear_discriminator_are_those_of_its_weights() -> None:
    weights = nn.Linear(3 * 8 * 8, 1)
    linear = nn.Sequential(nn.Flatten(), weights)
    norm = float(weights.weight.detach().norm())
    real, made = torch.randn(2, 5, 3, 8, 8)
    assert r1_penalty(linear, real).item() == pytest.approx(norm**2 / 2, rel=1e-5)
    assert wgan_gp_penalty(linear, real, made).item() == pytest.approx((norm - 1) ** 2, rel=1e-5)


@pytest.mark.parametrize("penalty", ["r1", "wgan_gp"])
def test_a_penalty_is_of_32_bits_whatever_the_rest_is(penalty: str) -> None:
    made, real = noise(4), stripes(4)
    precisions: tuple[Precision, ...] = ("32-true", "bf16-mixed")
    steps = []
    for precision in precisions:
        of = adversary(precision, penalty=penalty, penalty_on="patch", noise=0.0)
        torch.manual_seed(1)
        steps.append(of.step([(made, real)], Progress(0, 10)))
    assert torch.equal(steps[0]["penalty"], steps[1]["penalty"])
    assert not torch.equal(steps[0]["discriminator"], steps[1]["discriminator"])


def test_a_penalty_is_of_32_bits_within_autocast() -> None:
    branch, real = adversary().discriminator.patch, stripes(4)
    expected = r1_penalty(branch, real)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(r1_penalty(branch, real), expected)


def test_a_penalty_on_each_fourth_step_is_four_times_as_strong() -> None:
    pairs = [(noise(4), stripes(4))]

    def gradients(step: int = 0, **given: Any) -> Tensor:
        found = gradients_of_a_step(adversary(**STILL, **given), pairs, step)
        return torch.cat([gradient.flatten() for gradient in found.values()])

    without = gradients(penalty="none")
    each, fourth = (gradients(penalty_interval=interval, penalty_weight=50.0) - without for interval in (1, 4))
    assert float(each.norm()) > 1e-3
    torch.testing.assert_close(fourth, 4 * each, rtol=1e-3, atol=1e-5)
    assert torch.equal(gradients(step=1, penalty_interval=4), without)


@pytest.mark.parametrize("penalty", ["r1", "none"])
def test_accumulated_batches_teach_as_one_does(penalty: str) -> None:
    made, real = noise(8), stripes(8)
    settings = STILL | {"penalty": penalty, "penalty_weight": 50.0}
    whole = gradients_of_a_step(adversary(**settings), [(made, real)])
    halves = gradients_of_a_step(adversary(**settings), [(made[:4], real[:4]), (made[4:], real[4:])])
    assert max(float(gradient.norm()) for gradient in whole.values()) > 0.1
    for name, gradient in whole.items():
        torch.testing.assert_close(halves[name], gradient, rtol=1e-4, atol=1e-5, msg=name)


def test_the_penalty_that_is_told_is_of_all_batches() -> None:
    made, real = noise(8), torch.cat([stripes(4), 0.1 * noise(4)])
    halves = [(made[:4], real[:4]), (made[4:], real[4:])]
    each = [float(adversary(**STILL).step([pair], Progress(0, 10))["penalty"]) for pair in halves]
    assert abs(each[0] - each[1]) > 0.01 * each[0]
    assert float(adversary(**STILL).step(halves, Progress(0, 10))["penalty"]) == pytest.approx(sum(each) / 2, rel=1e-5)


def test_noise_falls_in_a_straight_line_to_nothing() -> None:
    settings = AdversarialSettings(noise=0.4, noise_until=0.5)
    assert [noise_deviation(settings, Progress(step, 100)) for step in (0, 25, 50, 99)] == [0.4, 0.2, 0.0, 0.0]
    assert noise_deviation(AdversarialSettings(noise=0.4, noise_until=0.0), Progress(0, 100)) == 0


@pytest.mark.parametrize(("step", "noisy"), [(0, True), (49, True), (50, False)])
def test_noise_comes_from_the_global_generator_and_then_no_more(step: int, noisy: bool) -> None:
    of = adversary(noise=0.4, noise_until=0.5, penalty="none")
    made, real = noise(2), stripes(2)
    terms = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        terms.append(of.generator_term(made, real, Progress(step, 100)))
    assert torch.equal(terms[0], terms[1])
    assert torch.equal(terms[0], terms[2]) != noisy


@pytest.mark.parametrize("loss", ["rals", "hinge"])
def test_the_generator_learns_and_the_discriminator_rests_meanwhile(loss: str) -> None:
    of = adversary(loss=loss, noise=0.0, weight=0.5)
    made, real = noise(4).requires_grad_(), stripes(4)
    term = of.generator_term(made, real, Progress(0, 10))
    term.backward()
    assert all(weight.grad is None and weight.requires_grad for weight in of.discriminator.parameters())
    moved = made.detach() - 10 * cast(Tensor, made.grad)
    assert float(of.generator_term(moved, real, Progress(0, 10))) < float(term.detach())
    twice = adversary(loss=loss, noise=0.0, weight=1.0).generator_term(made.detach(), real, Progress(0, 10))
    assert float(twice) == pytest.approx(2 * float(term.detach()), rel=1e-5)


def statistics(of: Adversary) -> dict[str, Tensor]:
    """Those of the batch normalisations."""
    return {name: value.clone() for name, value in of.discriminator.named_buffers() if name != "wins"}


def test_hinge_asks_the_generators_discriminator_of_made_images_alone_and_moves_no_statistics() -> None:
    seen: list[Tensor] = []
    of = adversary(loss="hinge", noise=0.0)
    of.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    made, before = noise(4), statistics(of)
    term = of.generator_term(made, torch.full_like(made, torch.nan), Progress(0, 10))
    assert [torch.equal(each, made) for each in seen] == [True]
    assert before
    assert all(torch.equal(value, before[name]) for name, value in statistics(of).items())
    # by the statistics of the batch, as ever, which are those that the discriminator's own step moves
    expected = [-float(logits.detach().mean()) for logits in of.discriminator(made)]
    assert float(term) == pytest.approx(of.settings.weight * sum(expected) / 2, rel=1e-5)
    assert not all(torch.equal(value, before[name]) for name, value in statistics(of).items())


def test_rals_asks_it_of_real_images_first_with_noise_of_their_own() -> None:
    of, other = adversary(noise=0.4, penalty="none"), adversary(noise=0.4, penalty="none")
    made, real = noise(4), stripes(4)
    torch.manual_seed(5)
    term = of.generator_term(made, real, Progress(0, 10))
    torch.manual_seed(5)
    with torch.no_grad():
        on_real, on_made = (other.discriminator(each + 0.4 * torch.randn_like(each)) for each in (real, made))
    losses = [generator_loss("rals", *logits) for logits in zip(on_real, on_made, strict=True)]
    assert torch.equal(term, of.settings.weight * torch.stack(losses).mean())
    there = statistics(other)
    assert all(torch.equal(value, there[name]) for name, value in statistics(of).items())


def test_the_share_of_the_gradient_is_that_of_norms() -> None:
    made = noise(2).requires_grad_()
    assert float(gradient_share(made.sum(), -3 * made.sum(), made)) == pytest.approx(0.25)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_share_of_the_term_grows_with_its_weight(precision: Precision) -> None:
    made, real = noise(2).requires_grad_(), stripes(2)

    def share(weight: float) -> float:
        term = adversary(precision, weight=weight, noise=0.0).generator_term(made, real, Progress(0, 10))
        return float(gradient_share(term, (made - real).abs().mean(), made))

    one, three = share(1.0), share(3.0)
    assert 0 < one < three < 1
    assert three / (1 - three) == pytest.approx(3 * one / (1 - one), rel=1e-2)


@pytest.mark.parametrize("loss", ["rals", "hinge"])
def test_a_discriminator_learns_to_tell_stripes_from_noise(loss: str) -> None:
    of = adversary(loss=loss, learning_rate=1e-3)
    assert of.accuracy(noise(64), stripes(64)) < 0.9
    for step in range(40):
        of.step([(noise(8), stripes(8))], Progress(step, 40))
    assert of.discriminator.training
    assert of.accuracy(noise(64), stripes(64)) > 0.9
    assert of.accuracy(stripes(64), noise(64)) < 0.1


def test_a_discriminator_that_wins_long_enough_ends_the_run() -> None:
    of = adversary(loss="rals", learning_rate=1e-3, noise=0.0, win_loss=0.5, win_steps=4)
    won: list[bool] = []

    def teach() -> None:
        for step in range(200):
            won.append(float(of.step([(noise(8), stripes(8))], Progress(step, 200))["discriminator"]) < 0.5)

    with pytest.raises(DivergedError) as error:
        teach()
    assert error.value.message == (
        f"training: the discriminator has won at step {len(won) + 1}, its loss was below 0.5 for 4 steps, so that it "
        "teaches nothing: lower training.adversarial.learning_rate, or raise training.adversarial.noise"
    )
    # with the one that ended the run, four
    assert won[-3:] == [True] * 3
    assert [True] * 4 not in [won[start : start + 4] for start in range(len(won))]


def test_one_lost_step_and_it_has_to_win_anew() -> None:
    of = adversary(loss="rals", learning_rate=1e-3, noise=0.0, win_loss=0.5)
    for step in range(60):
        of.step([(noise(8), stripes(8))], Progress(step, 100))
    assert int(of.discriminator.wins) > 4
    of.step([(stripes(8), noise(8))], Progress(60, 100))
    assert int(of.discriminator.wins) == 0


def test_gradients_that_are_no_numbers_end_the_run_before_the_weights_do() -> None:
    of = adversary()
    with pytest.raises(DivergedError, match=r"at step 8, its gradients are no longer numbers: lower training\."):
        of.step([(noise(2), torch.full((2, 3, SIZE, SIZE), torch.inf))], Progress(7, 10))
    assert all(bool(weight.isfinite().all()) for weight in of.discriminator.parameters())


@pytest.mark.parametrize(
    ("given", "branch"),
    [
        ({"penalty_on": "whole"}, "whole"),
        ({"penalty_on": "both"}, "whole"),
        ({"patch_norm": "batch"}, "patch"),
        ({"penalty": "wgan_gp", "patch_norm": "batch"}, "patch"),
    ],
    ids=["whole", "both", "patch", "wgan_gp"],
)
def test_a_penalty_under_batch_normalisation_is_refused_unless_it_is_wanted(given: dict[str, Any], branch: str) -> None:
    with pytest.raises(ValidationError, match=f"where {branch}_norm is batch: .* take instance or none"):
        AdversarialSettings.model_validate(given)
    made, real = noise(4), stripes(4)
    assert "penalty" in adversary(**given, as_published=True).step([(made, real)], Progress(0, 10))
    assert "penalty" not in adversary(**(given | {"penalty": "none"})).step([(made, real)], Progress(0, 10))


def trained(steps: range, folder: Path, resumed: bool) -> RestorationObjective:
    """A small U-Net beside a discriminator after ``steps``, from the state in ``folder`` if it is ``resumed``."""
    # what a network that knows nothing makes of noise is easily told: each step is won, and the count must go on
    adversarial = {"width": 8, "win_loss": 1.0, "penalty_interval": 2, "learning_rate": 1e-3}
    settings = TrainingSettings.model_validate(
        {"losses": {"perceptual": 0, "identity": 0}, "adversarial": adversarial, "steps": 6, "warmup_steps": 2}
    )
    torch.manual_seed(99 if resumed else 0)
    model = cast(RestorationModel, build_model("unet", {"features": [8, 16], "fold": 2}))
    objective = RestorationObjective(model, settings, Fabric(accelerator="cpu", devices=1, precision="32-true"), SIZE)
    path = folder / "state.safetensors"
    if resumed:
        load_state(path, objective.modules, objective.optimizers)
    for step in steps:
        torch.manual_seed(step)
        batches = [Batch(stripes(4), noise(4), torch.zeros(4, 5, 2)) for _ in range(2)]
        torch.manual_seed(step_seed(0, step))
        objective.step(batches, Progress(step, 6))
    save_state(path, objective.modules, objective.optimizers, {})
    return objective


def test_a_training_of_both_sides_goes_on_to_the_bit(tmp_path: Path) -> None:
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    trained(range(6), tmp_path / "whole", resumed=False)
    half = trained(range(3), tmp_path / "parts", resumed=False)
    assert half.adversary is not None
    assert int(half.adversary.discriminator.wins) == 3
    resumed = trained(range(3, 6), tmp_path / "parts", resumed=True)
    assert resumed.adversary is not None
    assert int(resumed.adversary.discriminator.wins) == 6
    whole, parts = ((tmp_path / name / "state.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_two_processes_teach_as_one_does_and_end_together(tmp_path: Path, precision: str) -> None:
    script = str(Path(__file__).with_name("two_adversaries.py"))
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for name, command in (("one", [script]), ("two", [*torchrun, script])):
        command = [sys.executable, *command, precision, str(tmp_path / name)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr[-3000:]
        # each process says by itself that the discriminator has won, at the same step
        assert done.stdout.count("has won at step 3,") == (1 if name == "one" else 2)
    one, other = (torch.load(tmp_path / name, weights_only=True) for name in ("one", "two"))
    rtol, atol = (1e-3, 1e-5) if precision == "32-true" else (0.1, 5e-3)
    for name, gradient in one.items():
        torch.testing.assert_close(other[name], gradient, rtol=rtol, atol=atol, msg=name)
