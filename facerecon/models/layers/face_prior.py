"""What aligned faces have in common, computed rather than trained: probabilistic PCA over small faces.

Aligned faces resemble each other place by place. Probabilistic PCA (Tipping and Bishop, 1999) models them as a
Gaussian: a mean, principal components and isotropic noise, all found in closed form from the training faces. Given the
known pixels of a face with holes, the posterior mean of the Gaussian says what to expect in the holes. A network that
starts there need not learn it step by step.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from facerecon.models.layers.first_fill import first_fill

FACES_PER_COMPONENT = 8
"""Training faces that each component needs: with fewer, the model would overfit them."""

MIN_NOISE_VARIANCE = 1e-4
"""Of a cell, for images in [-1, 1]: identical training faces would leave none."""

EPSILON = 1e-20
"""Smallest denominator."""

CORRECTION_LEVELS = 4
"""Pyramid levels of the fill that continues the residual into holes: 16 pixels deep the posterior mean is better."""

COLOUR_SHARE = 0.4
"""Components of colour for each component of brightness: colour varies less, and more smoothly."""

OPPONENT_AXES = ((3**-0.5, 3**-0.5, 3**-0.5), (2**-0.5, 0.0, -(2**-0.5)), (6**-0.5, -2 * 6**-0.5, 6**-0.5))
"""The rotation from RGB to brightness and two opponent colours: red against blue, and both against green."""


class ProbabilisticPCA(nn.Module):
    """A Gaussian N(mean, W W^T + noise I) over faces of ``grid`` x ``grid`` cells with ``channels`` values each.

    The training set holds every face and its mirror image, so each component is even (equal on both sides of the face)
    or odd (opposite). W has at most ``components`` columns, half of them even and half odd. Their left halves are
    stored, which halves the cost of every product with W.
    """

    mean: Tensor
    even: Tensor
    odd: Tensor
    noise: Tensor

    def __init__(self, channels: int, grid: int, components: int) -> None:
        super().__init__()
        self.channels, self.grid, self.components = channels, grid, components
        self.register_buffer("mean", torch.zeros(channels, grid, grid))
        # columns of W: [value of the left half, component]
        for parity in ("even", "odd"):
            self.register_buffer(parity, torch.zeros(channels * grid * grid // 2, (components + 1) // 2))
        # the noise's variance
        self.register_buffer("noise", torch.ones(()))

    def halves(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """The left and the mirrored right half, each [N, C * grid * grid / 2], of cells [N, C, grid, grid]."""
        half = self.grid // 2
        return cells[..., :half].flatten(1), cells[..., half:].flip(3).flatten(1)

    def symmetric_parts(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """The left half of the even and of the odd part, each [N, C * grid * grid / 2], of cells [N, C, grid, grid]."""
        left, right = self.halves(cells)
        return (left + right) / 2**0.5, (left - right) / 2**0.5

    def from_symmetric_parts(self, even: Tensor, odd: Tensor) -> Tensor:
        """Cells [N, C, grid, grid]: the inverse of ``symmetric_parts``."""
        shape = (-1, self.channels, self.grid, self.grid // 2)
        left, right = ((even + odd) / 2**0.5).view(shape), ((even - odd) / 2**0.5).view(shape)
        return torch.cat((left, right.flip(3)), dim=3)

    def downsample(self, images: Tensor) -> Tensor:
        """Means over the cells of the grid: [N, C, H, W] to [N, C, grid, grid], for any H and W."""
        rows, columns = (_area_weights(side, self.grid, images) for side in images.shape[2:])
        return rows @ images @ columns.T


class Moments:
    """First and second moments of a data set and its mirror images, of which ``pca`` is fitted.

    Mirroring makes the covariance block diagonal: one block for the even parts, one for the odd parts.
    """

    def __init__(self, pca: ProbabilisticPCA) -> None:
        half = len(pca.even)
        self.pca, self.count = pca, 0
        self.even_sum = torch.zeros(half, dtype=torch.float64)
        self.outer_products = torch.zeros((2, half, half), dtype=torch.float64)

    def update(self, images: Tensor) -> None:
        """Add images [N, C, H, W], float64, and their mirror images."""
        parts = self.pca.symmetric_parts(self.pca.downsample(images))
        for outer_product, part in zip(self.outer_products, parts, strict=True):
            outer_product.addmm_(part.T, part)
        self.even_sum += parts[0].sum(0)
        self.count += len(images)

    def fit(self) -> None:
        """Set mean, components and noise to the closed-form fit, of maximum likelihood but for the noise."""
        pca, half = self.pca, len(self.even_sum)
        # mirroring cancels the odd part of the mean
        mean = torch.stack((self.even_sum / self.count, torch.zeros_like(self.even_sum)))
        covariance = self.outer_products / self.count - mean[:, :, None] * mean[:, None]
        ascending = torch.linalg.eigh(covariance)
        eigenvalues, eigenvectors = ascending.eigenvalues.flip(1), ascending.eigenvectors.flip(2)
        rank = min(pca.components, max(1, self.count // FACES_PER_COMPONENT), 2 * half - 1)
        ranks = ((rank + 1) // 2, rank // 2)
        discarded = torch.cat([values[r:] for values, r in zip(eigenvalues, ranks, strict=True)]).clamp(min=0)
        # maximum likelihood takes the mean of the discarded eigenvalues, for white noise; but the residual of
        # neighbouring cells is correlated, so that many cells tell less than they seem to. The mean weighted by the
        # eigenvalues themselves allows for that
        noise = (discarded.square().sum() / discarded.sum().clamp(min=EPSILON)).clamp(min=MIN_NOISE_VARIANCE)
        for loadings, r, values, vectors in zip((pca.even, pca.odd), ranks, eigenvalues, eigenvectors, strict=True):
            loadings.zero_()
            loadings[:, :r] = vectors[:, :r] * (values[:r] - noise).clamp(min=0).sqrt()
        pca.mean.copy_(pca.from_symmetric_parts(*mean)[0])
        pca.noise.copy_(noise)


class FacePrior(nn.Module):
    """Fills holes with the posterior mean of an aligned face, given its known pixels.

    Brightness has at most ``components`` components over ``grid`` x ``grid`` cells; colour has fewer, over half the
    grid. Brightness and colour are nearly independent, and two small models cost less than half of one large one.

    The posterior mean solves a linear system by ``iterations`` steps of conjugate gradients: these are matrix products,
    which every runtime has, and stopping early regularises as noise does. The residual at known pixels is then
    continued some pixels into the holes and added. Before ``fit`` the posterior mean is 0, and this correction is all.
    """

    def __init__(self, grid: int, components: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.brightness = ProbabilisticPCA(1, grid, components)
        self.colour = ProbabilisticPCA(2, grid // 2, max(1, round(COLOUR_SHARE * components)))

    def fit(self, faces: Iterable[Tensor]) -> None:
        """Fit both models to ``faces``, batches [N, 3, H, W] in [-1, 1], and to their mirror images."""
        moments = [Moments(self.brightness), Moments(self.colour)]
        for batch in faces:
            for each, channels in zip(moments, _to_opponent(batch.double()).split((1, 2), dim=1), strict=True):
                each.update(channels)
        for each in moments:
            if each.count:
                each.fit()

    def forward(self, inputs: Tensor) -> Tensor:
        """Filled images [N, 3, H, W] in [-1, 1] of ``inputs`` [N, 4, H, W]: images with holes set to 0, and masks.

        H and W are of any size. Known pixels stay as they are.
        """
        if torch.is_autocast_enabled(inputs.device.type):
            # conjugate gradients need more digits than 16 bits have
            with torch.autocast(inputs.device.type, enabled=False):
                return self.forward(inputs.float())
        image, mask = inputs[:, :3], inputs[:, 3:]
        mean = _to_rgb(self._posterior_mean(_to_opponent(image), 1 - mask))
        residual = torch.cat(((image - mean) * (1 - mask), mask), dim=1)
        return torch.where(mask > 0.5, (mean + first_fill(residual, CORRECTION_LEVELS)).clamp(-1, 1), image)

    def _posterior_mean(self, image: Tensor, known: Tensor) -> Tensor:
        """The posterior mean [N, 3, H, W] given ``image`` [N, 3, H, W], which is 0 where ``known`` [N, 1, H, W] is 0.

        The latent vector z of a face x = mean + W z + noise has the posterior mean that solves (I + W^T P W) z =
        W^T P (x - mean). P is diagonal: each cell's known share over the noise's variance. In even and odd parts, P has
        a diagonal block for each, and one that couples them where a cell and its mirror image are not equally known.
        """
        models = (self.brightness, self.colour)
        loadings = [each for model in models for each in (model.even, model.odd)]
        weighted: list[Tensor] = []
        diagonal: list[Tensor] = []
        coupling: list[Tensor] = []
        for model, channels in zip(models, image.split((1, 2), dim=1), strict=True):
            cells = model.downsample(torch.cat((channels, known), dim=1))
            share = cells[:, -1:]
            weighted += model.symmetric_parts((cells[:, :-1] - share * model.mean) / model.noise)
            left, right = model.halves((share / model.noise).expand(-1, model.channels, -1, -1))
            diagonal += 2 * [(left + right) / 2]
            coupling += 2 * [(left - right) / 2]
        precision, cross_precision = torch.cat(diagonal, dim=1), torch.cat(coupling, dim=1)
        ranks, sizes = [each.shape[1] for each in loadings], [len(each) for each in loadings]

        def matvec(latent: Tensor) -> Tensor:
            parts = [z @ w.T for z, w in zip(latent.split(ranks, dim=1), loadings, strict=True)]
            even_odd_swapped = [parts[kind] for kind in (1, 0, 3, 2)]
            product = precision * torch.cat(parts, dim=1) + cross_precision * torch.cat(even_odd_swapped, dim=1)
            projected = [part @ w for part, w in zip(product.split(sizes, dim=1), loadings, strict=True)]
            return latent + torch.cat(projected, dim=1)

        rhs = torch.cat([part @ w for part, w in zip(weighted, loadings, strict=True)], dim=1)
        latents = conjugate_gradients(matvec, rhs, self.iterations).split(ranks, dim=1)
        parts = [z @ w.T for z, w in zip(latents, loadings, strict=True)]
        height, width = image.shape[2:]
        means = [
            _upsample(model.mean + model.from_symmetric_parts(*pair), height, width)
            for model, pair in zip(models, (parts[:2], parts[2:]), strict=True)
        ]
        return torch.cat(means, dim=1)


def conjugate_gradients(matvec: Callable[[Tensor], Tensor], rhs: Tensor, iterations: int) -> Tensor:
    """An approximate solution x [N, K] of A x = ``rhs`` [N, K]; ``matvec`` multiplies by A, symmetric and positive."""
    solution, residual, direction = torch.zeros_like(rhs), rhs, rhs
    squared_norm = _squared_norm(residual)
    basis: list[Tensor] = []
    for _ in range(iterations):
        basis.append((residual / squared_norm.sqrt())[:, None])
        product = matvec(direction)
        # 0 over EPSILON once the residual is 0
        step = squared_norm / (direction * product).sum(1, keepdim=True).clamp(min=EPSILON)
        solution, residual = solution + step * direction, residual - step * product
        # reorthogonalise: in exact arithmetic the residuals are orthogonal; rounding errors would grow at each step,
        # and results would differ between machines
        previous = torch.cat(basis, dim=1)
        residual = residual - (residual[:, None] @ previous.transpose(1, 2) @ previous)[:, 0]
        before, squared_norm = squared_norm, _squared_norm(residual)
        direction = residual + squared_norm / before * direction
    return solution


def _squared_norm(vectors: Tensor) -> Tensor:
    """[N, 1] of vectors [N, K]; at least EPSILON."""
    return vectors.square().sum(1, keepdim=True).clamp(min=EPSILON)


def _to_opponent(images: Tensor) -> Tensor:
    """Brightness and two opponent colours of RGB [N, 3, H, W]."""
    return (images.new_tensor(OPPONENT_AXES) @ images.flatten(2)).view_as(images)


def _to_rgb(images: Tensor) -> Tensor:
    """The inverse of ``_to_opponent``."""
    return (images.new_tensor(OPPONENT_AXES).T @ images.flatten(2)).view_as(images)


def _area_weights(side: int, cells: int, like: Tensor) -> Tensor:
    """[cells, side]: the weight of each of ``side`` pixels of a row in the mean over each of ``cells`` equal cells."""
    # in units of 1 / (side * cells), so that all bounds are whole numbers
    pixels = torch.arange(side, device=like.device, dtype=like.dtype) * cells
    bounds = torch.arange(cells, device=like.device, dtype=like.dtype)[:, None] * side
    overlap = torch.minimum(bounds + side, pixels + cells) - torch.maximum(bounds, pixels)
    return overlap.clamp(min=0) / side


def _upsample(cells: Tensor, height: int, width: int) -> Tensor:
    """Bicubic interpolation of cells [N, C, grid, grid] to images [N, C, height, width]."""
    rows, columns = (_cubic_weights(side, cells.shape[3], cells) for side in (height, width))
    return rows @ cells @ columns.T


def _cubic_weights(side: int, cells: int, like: Tensor) -> Tensor:
    """[side, cells]: the weight of each cell of a row in each pixel, by cubic convolution (Keys, 1981)."""
    pixels = (torch.arange(side, device=like.device, dtype=like.dtype)[:, None] + 0.5) * cells / side - 0.5
    distance = (pixels - torch.arange(cells, device=like.device, dtype=like.dtype)).abs()
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    weights = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    return weights / weights.sum(1, keepdim=True)
