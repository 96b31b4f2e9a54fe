"""A discriminator that teaches a generator: losses, penalties, noise, and when it has won."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import cast

import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor, nn

from facerecon.errors import DivergedError
from facerecon.models.layers.discriminator import Discriminator, Verdicts
from facerecon.tasks.restoration.adversarial_settings import AdversarialSettings
from facerecon.training.objective import Progress

BETAS = (0.5, 0.99)
"""Of the discriminator's Adam: little momentum, for its opponent moves."""

Pairs = Sequence[tuple[Tensor, Tensor]]
"""For each accumulated batch what was made and what is real, [N, 3, H, W] in [-1, 1], without gradients."""


def discriminator_loss(loss: str, real: Tensor, made: Tensor) -> Tensor:
    """What a discriminator with logits ``real`` and ``made`` minimises, a scalar.

    ``hinge``: Lim and Ye, 2017. ``rals``: relativistic average least squares, whether real images look more real than
    made ones do on average (Jolicoeur-Martineau, 2018).
    """
    if loss == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + made).mean()
    return ((real - made.mean() - 1).square().mean() + (made - real.mean() + 1).square().mean()) / 2


def generator_loss(loss: str, real: Tensor | None, made: Tensor) -> Tensor:
    """What the generator minimises against these logits, a scalar; ``hinge`` takes none of real images."""
    if loss == "hinge":
        return -made.mean()
    assert real is not None
    return ((real - made.mean() + 1).square().mean() + (made - real.mean() - 1).square().mean()) / 2


def r1_penalty(branch: nn.Module, real: Tensor) -> Tensor:
    """Half the squared norm of the logits' gradient at real images, mean over them (Mescheder et al., 2018)."""
    return _gradients(branch, real).square().sum(dim=1).mean() / 2


def wgan_gp_penalty(branch: nn.Module, real: Tensor, made: Tensor) -> Tensor:
    """How far the gradient's norm is from 1 between real and made images, squared (Gulrajani et al., 2017)."""
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    return (_gradients(branch, torch.lerp(real, made, share)).norm(dim=1) - 1).square().mean()


def _gradients(branch: nn.Module, images: Tensor) -> Tensor:
    """The gradient [N, P] of the sum of each image's logits by its pixels, with a graph."""
    images = images.detach().float().requires_grad_(True)
    # a squared gradient of 16 bits is mostly rounding
    with torch.autocast(images.device.type, enabled=False):
        (found,) = torch.autograd.grad(branch(images).flatten(1).mean(dim=1).sum(), images, create_graph=True)
    return found.flatten(1)


def noise_deviation(settings: AdversarialSettings, progress: Progress) -> float:
    """The standard deviation of the noise at a step: it falls in a straight line, and to 0 exactly."""
    until = settings.noise_until * progress.steps
    return settings.noise * max(0.0, 1 - progress.step / until) if until else 0.0


class Adversary:
    """Owns the discriminator and its optimizer, and gives the generator's adversarial term.

    A step: ``generator_term`` for each batch, and, when the generator has made its step, ``step`` with all of them.
    Several processes share the discriminator: they average its gradients, and the loss by which it wins.
    """

    def __init__(self, settings: AdversarialSettings, fabric: Fabric, size: int) -> None:
        self.settings, self.fabric = settings, fabric
        self.discriminator = Discriminator(size, settings.width, settings.whole_norm, settings.patch_norm)
        optimizer = torch.optim.Adam(self.discriminator.parameters(), settings.learning_rate, betas=BETAS)
        self.network, self.optimizer = fabric.setup(self.discriminator, optimizer)
        self.modules: dict[str, nn.Module] = {"discriminator": self.discriminator}
        self.optimizers: dict[str, torch.optim.Optimizer] = {"adam_discriminator": self.optimizer}

    def teaches(self, progress: Progress) -> bool:
        """Whether the discriminator takes part in this step."""
        return progress.step >= self.settings.start_share * progress.steps

    def generator_term(self, made: Tensor, real: Tensor, progress: Progress) -> Tensor:
        """The weighted adversarial term of the generator's loss, with a graph to ``made``; the discriminator rests."""
        self.discriminator.requires_grad_(False)
        # as it is, without Fabric's wrapper: no gradient of its weights is to be averaged over processes here, and a
        # check of the wrapper hinders ``gradient_share``
        with self.fabric.autocast():
            if self.settings.loss == "hinge":
                on_real = [None] * len(Verdicts._fields)
                # made images alone would draw the running statistics to their side
                with _fixed_statistics(self.discriminator):
                    on_made = self.discriminator(self._noisy(made, progress))
            else:
                with torch.no_grad():
                    on_real = [logits.float() for logits in self.discriminator(self._noisy(real, progress))]
                on_made = self.discriminator(self._noisy(made, progress))
        self.discriminator.requires_grad_(True)
        terms = [
            generator_loss(self.settings.loss, real, made.float()) for real, made in zip(on_real, on_made, strict=True)
        ]
        return self.settings.weight * torch.stack(terms).mean()

    def step(self, pairs: Pairs, progress: Progress) -> dict[str, Tensor]:
        """One step of the discriminator's optimizer on all accumulated batches; its losses by name.

        Raises:
            DivergedError: its gradients are not finite, or it has won so often in a row that it teaches nothing.
        """
        settings, losses, penalties, right = self.settings, [], [], []
        penalised = settings.penalty != "none" and progress.step % settings.penalty_interval == 0
        for index, (made, real) in enumerate(pairs):
            with self.fabric.no_backward_sync(self.network, enabled=index + 1 < len(pairs)):
                with self.fabric.autocast():
                    on_made, on_real = (self.network(self._noisy(images, progress)) for images in (made, real))
                terms = [
                    discriminator_loss(settings.loss, real.float(), made.float())
                    for real, made in zip(on_real, on_made, strict=True)
                ]
                loss = torch.stack(terms).mean()
                losses.append(loss.detach())
                right.append(_right(on_made, on_real))
                if penalised:
                    penalty = self._penalty(made, real)
                    penalties.append(penalty.detach())
                    loss = loss + settings.penalty_weight * settings.penalty_interval * penalty
                self.fabric.backward(loss / len(pairs))
        gradients = [weight.grad for weight in self.discriminator.parameters() if weight.grad is not None]
        # of all processes, so that all of them end here or none does
        total = cast(Tensor, self.fabric.all_reduce(torch.stack(losses).mean(), reduce_op="mean"))
        self._check(total, all(bool(gradient.isfinite().all()) for gradient in gradients), progress)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        means = {"discriminator": total, "discriminator_accuracy": torch.stack(right).mean()}
        return means | {"penalty": torch.stack(penalties).mean()} if penalised else means

    @torch.no_grad()
    def accuracy(self, made: Tensor, real: Tensor) -> float:
        """The share of images, whole, that the discriminator takes for what they are; half: it cannot tell."""
        training = self.discriminator.training
        self.discriminator.eval()
        found = float(_right(self.discriminator(made), self.discriminator(real)))
        self.discriminator.train(training)
        return found

    def _penalty(self, made: Tensor, real: Tensor) -> Tensor:
        whole = nn.Sequential(self.discriminator.whole, nn.Flatten(), self.discriminator.score)
        branches: dict[str, nn.Module] = {"whole": whole, "patch": self.discriminator.patch}
        on = self.settings.penalty_on
        chosen = list(branches.values()) if on == "both" else [branches[on]]
        if self.settings.penalty == "r1":
            return torch.stack([r1_penalty(branch, real) for branch in chosen]).mean()
        return torch.stack([wgan_gp_penalty(branch, real, made) for branch in chosen]).mean()

    def _noisy(self, images: Tensor, progress: Progress) -> Tensor:
        """Images with noise that fades: real and made ones are harder to tell apart (Arjovsky and Bottou, 2017)."""
        deviation = noise_deviation(self.settings, progress)
        return images + deviation * torch.randn_like(images) if deviation else images

    def _check(self, loss: Tensor, finite: bool, progress: Progress) -> None:
        wins = self.discriminator.wins
        wins.copy_(wins + 1 if float(loss) < self.settings.win_loss else torch.zeros_like(wins))
        if not finite:
            why = "its gradients are no longer numbers"
        elif int(wins) >= self.settings.win_steps:
            why = f"its loss was below {self.settings.win_loss:g} for {int(wins)} steps, so that it teaches nothing"
        else:
            return
        raise DivergedError(
            f"training: the discriminator has won at step {progress.step + 1}, {why}: "
            "lower training.adversarial.learning_rate, or raise training.adversarial.noise"
        )


@contextmanager
def _fixed_statistics(network: nn.Module) -> Iterator[None]:
    """Batch normalisations go by their batch in the block, and their running statistics stay what they are."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def _right(made: Verdicts, real: Verdicts) -> Tensor:
    """The share of whole images that are told: real ones above the middle of both means, made ones below."""
    middle = (made.whole.mean() + real.whole.mean()) / 2
    return ((made.whole < middle).float().mean() + (real.whole > middle).float().mean()) / 2


def gradient_share(adversarial: Tensor, other: Tensor, made: Tensor) -> Tensor:
    """The share of the adversarial term in the gradient that reaches ``made``, a leaf, by norms, in [0, 1]."""
    first, second = (torch.autograd.grad(loss, made)[0].norm() for loss in (adversarial, other))
    return first / (first + second)
