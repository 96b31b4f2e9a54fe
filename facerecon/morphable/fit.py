"""Fitting the morphable model to 68 points of a photograph."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facerecon.errors import FaceReconError
from facerecon.morphable.model import Floats, MorphableModel
from facerecon.perception.landmarks import SIXTY_EIGHT

Numbers = NDArray[np.floating]

FIELD_OF_VIEW = 50.0
"""Degrees over a photograph's longer side, where nothing is known of its camera."""

NOISE = 0.035
"""The standard deviation of a coordinate of points that a network finds, as a share of the square root of their box's
area; chosen on the people of val and gate."""

EXACT_NOISE = 0.005
"""The same of exact points: what the model cannot show of a face."""

MOST = 3.5
"""A face with a coefficient of more standard deviations is not believed."""

FARTHEST = 0.1
"""Nor one that misses its points by a larger share of the box (root mean square)."""

SMALLEST = 1.0
"""Nor one whose points lie in a box of fewer pixels (the square root of its area)."""

STEPS, DAMPING, SETTLED = 60, 1e-3, 1e-7
"""Of Levenberg's and Marquardt's method: the most steps, the first damping, and the share of the cost below which what
a step gains ends the search."""

_NEAR, _FAR = 1.0, 1e5
"""A point is so many cm before the camera: at other distances what is seen says nothing of where it is."""

_STUCK = 1e10
"""With so much damping no step gains anything."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: ``focal`` length and ``centre`` (x, y; (0, 0) is the image's corner), in pixels."""

    focal: float
    centre: tuple[float, float]

    def project(self, points: NDArray[np.floating]) -> Numbers:
        """Pixels [..., 2] of points [..., 3] in the camera's frame: x right, y up, z towards the camera, which stands
        in the origin: what it sees has a negative z."""
        flat = points[..., :2] * (-self.focal / points[..., 2:])
        return flat * [1.0, -1.0] + np.array(self.centre)


def assumed_camera(height: int, width: int) -> Camera:
    """A camera for a photograph whose own is not known: it sees FIELD_OF_VIEW over the longer side. It must be told
    that it is assumed."""
    return Camera(max(height, width) / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2)), (width / 2, height / 2))


@dataclass(frozen=True, eq=False)
class Fit:
    """A face fitted to points.

    ``vertices`` float32 [468, 3]: mm in the camera's frame (see ``Camera.project``); ``shape`` float32 [468, 3]: mm in
    the head's own frame (see ``MorphableModel``), without the pose; ``projected`` float32 [468, 2]: pixels of the
    photograph; ``reprojection``: root mean square of the 68 points' distances to those given, in pixels; ``identity``
    [40] and ``expression`` [9] in standard deviations. ``refused`` is "", or why all but the pose is the mean face's.
    """

    vertices: Floats
    shape: Floats
    projected: Floats
    reprojection: float
    identity: Numbers
    expression: Numbers
    refused: str


def fit(
    model: MorphableModel,
    points: NDArray[np.floating],
    camera: Camera,
    weights: NDArray[np.floating] | None = None,
    noise: float = NOISE,
) -> Fit:
    """The face of ``model`` that suits ``points`` [68, >=2] (x, y in pixels of the photograph) best under a perspective
    camera. A z of the points is not used: it makes the fit to a network's points hardly better (1 % of the
    vertex error).

    ``weights`` [68] in [0, 1], such as a network's confidence, say how much each point counts beside the others;
    ``noise`` is the standard deviation of a coordinate as a share of the square root of the area of the points' box.
    The sum of squares of what is missed and of the coefficients (their prior is normal) is made small by Gauss's and
    Newton's method with damping (Levenberg, 1944; Marquardt, 1963): 2 ms.

    Where that does not end, where a coefficient leaves MOST standard deviations, where the face misses the points by
    more than FARTHEST of the box or is seen from behind, or where the box is smaller than SMALLEST, the mean face is
    given in the pose that suits the points, and ``refused`` says why.

    Raises:
        FaceReconError: points or weights of another shape or that are not finite, or weights out of range or all 0.
    """
    given, counted = _checked(points, weights)
    box = float(np.sqrt(np.prod(np.ptp(given, axis=0))))
    scale = np.sqrt(counted / counted.mean()) / (noise * max(box, SMALLEST))
    mean = model.mean[_POINTS].astype(np.float64)
    directions = np.concatenate([model.components, model.expressions])[:, _POINTS].astype(np.float64)
    problem = _Problem(mean, directions, camera, given, scale)
    state, settled = problem.solve()
    coefficients, refused = state.coefficients, _refused(problem, state, settled, box)
    if refused:
        state, _ = _Problem(mean, directions[:0], camera, given, scale).solve()
        coefficients = np.zeros(len(directions))
    count = len(model.components)
    shape = model.shape(coefficients[:count], coefficients[count:]).astype(np.float64)
    vertices = (shape - problem.middle) @ state.turn.T + state.place
    projected = camera.project(vertices)
    return Fit(
        vertices=(10 * vertices).astype(np.float32),
        shape=(10 * shape).astype(np.float32),
        projected=projected.astype(np.float32),
        reprojection=_rms(projected[_POINTS] - given),
        identity=coefficients[:count],
        expression=coefficients[count:],
        refused=refused,
    )


_POINTS = list(SIXTY_EIGHT)


def _checked(points: NDArray[np.floating], weights: NDArray[np.floating] | None) -> tuple[Numbers, Numbers]:
    """Points [68, 2] and weights [68] that can be calculated with."""
    count, given = len(_POINTS), np.asarray(points, np.float64)
    if given.ndim != 2 or len(given) != count or given.shape[1] < 2 or not np.isfinite(given).all():
        values = "finite" if np.isfinite(given).all() else "not all finite"
        raise FaceReconError(
            f"points are an array {list(given.shape)}, {values}: a face is fitted to {count} finite points "
            f"[{count}, 2]; leave out a face without them"
        )
    counted = np.ones(count) if weights is None else np.asarray(weights, np.float64)
    if counted.shape != (count,) or not ((counted >= 0) & (counted <= 1)).all() or not counted.any():
        raise FaceReconError(f"weights of points are {count} numbers from 0 to 1, not all 0: give others, or none")
    # beyond any photograph; so that squares of it are finite
    return np.clip(given[:, :2], -1e6, 1e6), counted


@dataclass(frozen=True, eq=False)
class _State:
    """Where the search is: rotation [3, 3], translation [3] in cm, coefficients, points [68, 3], residuals, cost."""

    turn: Numbers
    place: Numbers
    coefficients: Numbers
    points: Numbers
    residuals: Numbers
    cost: float


class _Problem:
    """Points [68, 2] to be met by a face that is ``mean`` [68, 3] and ``directions`` [C, 68, 3] of it, cm; ``scale``
    [68] makes standard deviations of what is missed in pixels. The face turns about ``middle`` [3]."""

    def __init__(self, mean: Numbers, directions: Numbers, camera: Camera, points: Numbers, scale: Numbers) -> None:
        self.middle = mean.mean(axis=0)
        self.mean, self.directions = mean - self.middle, directions
        self.camera, self.points, self.scale = camera, points, scale

    def solve(self) -> tuple[_State, bool]:
        """The face that suits points and prior best, and whether the search came to an end."""
        state, damping = self._start(), DAMPING
        slopes = self._slopes(state)
        for _ in range(STEPS):
            normal, gradient = slopes.T @ slopes, slopes.T @ state.residuals
            step: Numbers = -np.linalg.solve(normal + damping * np.diag(np.diag(normal)), gradient)
            tried = self._state(
                _rotation(step[:3]) @ state.turn, state.place + step[3:6], state.coefficients + step[6:]
            )
            if tried.cost <= state.cost:
                gained, state, damping = state.cost - tried.cost, tried, damping / 10
                if gained <= SETTLED * state.cost:
                    return state, True
                slopes = self._slopes(state)
            elif damping < _STUCK:
                damping *= 10
            else:
                return state, True
        return state, False

    def _start(self) -> _State:
        """The mean face as a scaled orthographic camera would see it (DeMenthon and Davis, 1995)."""
        focus = np.average(self.points, axis=0, weights=self.scale**2)
        offset = (self.points - focus) * [1.0, -1.0]
        by, *_ = np.linalg.lstsq(self.mean * self.scale[:, None], offset * self.scale[:, None], rcond=None)
        u, stretch, vt = np.linalg.svd(by.T, full_matrices=False)
        right, up = u @ vt
        pixels = max(float(stretch.mean()), 1e-3)  # as large as a centimetre
        depth = min(max(self.camera.focal / pixels, 2 * float(np.abs(self.mean).max())), _FAR / 2)
        x, y = (focus - self.camera.centre) / self.camera.focal * depth
        return self._state(
            np.stack([right, up, np.cross(right, up)]), np.array([x, -y, -depth]), np.zeros(len(self.directions))
        )

    def _state(self, turn: Numbers, place: Numbers, coefficients: Numbers) -> _State:
        points = (self.mean + np.tensordot(coefficients, self.directions, 1)) @ turn.T + place
        if not ((points[:, 2] < -_NEAR) & (points[:, 2] > -_FAR)).all():
            return _State(turn, place, coefficients, points, np.empty(0), math.inf)
        missed = (self.camera.project(points) - self.points) * self.scale[:, None]
        residuals = np.concatenate([missed.ravel(), coefficients])
        return _State(turn, place, coefficients, points, residuals, float(residuals @ residuals))

    def _slopes(self, state: _State) -> Numbers:
        """The residuals' derivatives [136 + C, 6 + C] by a further turn, by the place and by the coefficients."""
        count, relative = len(self.directions), state.points - state.place
        moved = np.zeros((6 + count, *state.points.shape))
        for axis, (following, last) in enumerate(((1, 2), (2, 0), (0, 1))):
            moved[axis, :, following], moved[axis, :, last] = -relative[:, last], relative[:, following]
            moved[3 + axis, :, axis] = 1
        moved[6:] = self.directions @ state.turn.T
        depth = -state.points[:, 2]
        # a point comes nearer by as much as its z grows
        flat = moved[..., :2] + moved[..., 2:] * (state.points[:, :2] / depth[:, None])
        flat = flat * [1.0, -1.0] * (self.scale * self.camera.focal / depth)[:, None]
        prior = np.hstack([np.zeros((count, 6)), np.eye(count)])
        return np.vstack([flat.reshape(6 + count, -1).T, prior])


def _rotation(turn: Numbers) -> Numbers:
    """The rotation [3, 3] about the direction of a vector [3] by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(turn))
    if angle == 0:
        return np.eye(3)
    x, y, z = turn / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross


def _refused(problem: _Problem, state: _State, settled: bool, box: float) -> str:
    """Why a face is not believed; "" if it is."""
    farthest = float(np.abs(state.coefficients).max())
    missed = _rms(problem.camera.project(state.points) - problem.points) / max(box, SMALLEST)
    if box < SMALLEST:
        return f"the box of the points is {box:.1f} pixels wide"
    if not settled:
        return "did not converge"
    if farthest > MOST:
        return f"a coefficient is {farthest:.1f} standard deviations from the mean"
    if missed > FARTHEST:
        return f"the face misses the points by {100 * missed:.0f} % of their box"
    return "the points are those of a face seen from behind, or mirrored" if state.turn[2, 2] < 0 else ""


def _rms(missed: Numbers) -> float:
    return float(np.sqrt((missed**2).sum(axis=1).mean()))
