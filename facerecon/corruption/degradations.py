"""What a camera and its recorder do to a face: blur, few pixels, noise, compression, in this order.

Images are RGB [H, W, 3], uint8 or float32 with values 0..255. All randomness of one image is a function of its
generator; how many numbers are drawn from it depends on nothing, so a change of one setting leaves the rest as it was.
A degradation is drawn first (``draw``), as plain numbers and one kernel, then done (``degrade``): what was drawn can be
handed to a method that knows the true kernel.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import convolve2d
from scipy.special import j1

from facerecon.corruption.presets import REFERENCE, NoiseRanges, Preset, Range

Floats = NDArray[np.float32]
Image = NDArray[np.uint8]
Pixels = NDArray[np.uint8] | NDArray[np.float32]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_OVERSAMPLING = 5
_STEPS = 64
"""Moments of a way whose direction is drawn."""

_PUSH = 0.1
"""Standard deviation of the change of direction at each of them, in radians."""

_FRAMES = 3
"""Of the clip that H.264 compresses; the last one is kept."""

_GAMMA = 2.2


# ---------------------------------------------------------------------------------------------------------- kernels


def gaussian_kernel(sigma: float, other: float | None = None, angle: float = 0.0) -> Floats:
    """A Gaussian [K, K], cut at three sigma; ``other`` is the sigma across, ``angle`` (radians) turns the first one.

    It is the density's mean over each pixel. A sigma below 0.1 px counts as 0.1 px, which blurs nothing.
    """
    along, across = max(sigma, 0.1), max(sigma if other is None else other, 0.1)
    if along == across == 0.1:
        return np.ones((1, 1), np.float32)
    x, y = _fine_grid(int(np.ceil(3 * max(along, across))))
    first, second = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    return _pooled(np.exp(-0.5 * ((first / along) ** 2 + (second / across) ** 2)))


def disc_kernel(radius: float) -> Floats:
    """A disc [K, K] of ``radius`` pixels: a lens out of focus. Pixels at its edge count by their share in it."""
    x, y = _fine_grid(int(np.ceil(radius)))
    # the middle of the grid is always inside
    return _pooled((x * x + y * y <= max(radius, 0.1) ** 2).astype(np.float64))


def motion_kernel(way: NDArray[np.floating]) -> Floats:
    """The time that a point spends at each pixel [K, K] on ``way`` [T, 2] (x, y in pixels), centred on its centroid."""
    way = way - way.mean(axis=0)
    reach = int(np.ceil(np.abs(way).max())) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    corner = np.floor(way).astype(int)
    part = way - corner
    for x, y in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = np.abs(1 - x - part[:, 0]) * np.abs(1 - y - part[:, 1])
        np.add.at(kernel, (corner[:, 1] + y + reach, corner[:, 0] + x + reach), weight)
    return (kernel / kernel.sum()).astype(np.float32)


def curved_way(length: float, draws: NDArray[np.floating]) -> NDArray[np.float64]:
    """A smooth way [T, 2] of ``length`` pixels at constant speed, its first direction and its turns from normal
    ``draws`` [64, 2].

    A movement as Boracchi and Foi model it and DeblurGAN uses it, whose velocity is pushed at random, without sudden
    shakes and without the pull back to its beginning, by which ways curl up to a third of their length.
    """
    pushes = _PUSH * (draws[:, 0] + 1j * draws[:, 1])
    velocity, position = pushes[0] / abs(pushes[0]), 0j
    positions = [position]
    for each in pushes[1:].tolist():
        velocity += each
        velocity /= abs(velocity)
        position += velocity
        positions.append(position)
    moments = np.linspace(0, _STEPS - 1, 8 * (_STEPS - 1) + 1)
    way = np.interp(moments, np.arange(_STEPS), np.array(positions)) * (length / (_STEPS - 1))
    return np.stack([way.real, way.imag], axis=1)


def ringing_kernel(cutoff: float, radius: int = 6) -> Floats:
    """A circular low-pass [2 radius + 1, same] that rings, cut at ``cutoff`` in (0, pi] radians a pixel.

    The "sinc" of Real-ESRGAN; it sums to 1, and alone of all kernels has negative values.
    """
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    distance = np.hypot(x, y)
    with np.errstate(invalid="ignore", divide="ignore"):
        kernel = cutoff * j1(cutoff * distance) / (2 * np.pi * distance)
    kernel[radius, radius] = cutoff**2 / (4 * np.pi)
    return (kernel / kernel.sum()).astype(np.float32)


def _fine_grid(reach: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y in pixels, several a pixel, of a kernel that reaches so far from its middle pixel."""
    count = (2 * reach + 1) * _OVERSAMPLING
    axis = (2 * np.arange(count) + 1 - count) / (2 * _OVERSAMPLING)
    return axis[None, :], axis[:, None]


def _pooled(fine: NDArray[np.float64]) -> Floats:
    """The mean over each pixel, together 1."""
    side = len(fine) // _OVERSAMPLING
    kernel = fine.reshape(side, _OVERSAMPLING, side, _OVERSAMPLING).sum(axis=(1, 3))
    return (kernel / kernel.sum()).astype(np.float32)


# --------------------------------------------------------------------------------------------------- building blocks


def blur(image: Pixels, kernel: Floats) -> Floats:
    """``image`` [H, W, 3] convolved with ``kernel`` [K, K], mirrored at its edges."""
    if kernel.size == 1:
        return image.astype(np.float32)
    turned = cv2.flip(kernel, -1)  # OpenCV correlates
    return np.asarray(cv2.filter2D(image.astype(np.float32), -1, turned, borderType=cv2.BORDER_REFLECT), np.float32)


def resize(image: Pixels, height: int, width: int) -> Floats:
    """An image [H, W, 3] at another size of the same proportions: areas are averaged where it shrinks, else it is
    enlarged linearly, as in GFPGAN and CodeFormer."""
    whole = image.astype(np.float32)
    if (height, width) == whole.shape[:2]:
        return whole
    how = cv2.INTER_AREA if height < len(whole) else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(whole, (width, height), interpolation=how), np.float32)


def gray(image: Pixels) -> Floats:
    """The luma in all three channels."""
    return np.repeat((image.astype(np.float32) @ _LUMA)[..., None], 3, axis=2)


def dim(image: Pixels, light: float) -> Floats:
    """The picture with the share ``light`` in (0, 1] of its light, by a gamma of 2.2. Noise comes after it."""
    return image.astype(np.float32) * np.float32(light ** (1 / _GAMMA))


def gaussian_noise(image: Pixels, sigma: float, rng: np.random.Generator, one_channel: bool = False) -> Floats:
    """The picture with noise of ``sigma`` gray levels, the same in all channels if ``one_channel``; not clipped."""
    shape = (*image.shape[:2], 1 if one_channel else image.shape[2])
    return image.astype(np.float32) + np.float32(sigma) * rng.standard_normal(shape, dtype=np.float32)


def poisson_noise(image: Pixels, shot: float, rng: np.random.Generator, one_channel: bool = False) -> Floats:
    """The picture counted in photons, so many that noise at white has a standard deviation of ``shot`` > 0 gray levels.

    With ``one_channel`` the luma's noise is added to all channels.
    """
    image = np.maximum(image.astype(np.float32), 0)
    light = image @ _LUMA if one_channel else image
    a_photon = shot**2 / 255
    counted = (rng.poisson(light / a_photon) * a_photon).astype(np.float32)
    return image + (counted - light)[..., None] if one_channel else counted


def jpeg(image: Image, quality: int) -> Image:
    """The picture after JPEG of ``quality`` 1 to 100, chroma at half the resolution as OpenCV writes it."""
    coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR_RGB), np.uint8)


def h264(frames: Sequence[Image], crf: int) -> Image:
    """The last of some frames uint8 [H, W, 3] of a clip, after x264 at a constant rate factor of ``crf`` 0 to 51.

    One thread, no look-ahead and no B-frames, as surveillance cameras code; only the codec, no container. Frames are
    continued at their edges to whole macroblocks of 16 pixels.
    """
    import av  # imported when it is used: it brings all video decoders

    height, width = frames[0].shape[:2]
    down, right = -height % 16, -width % 16
    coder = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt = width + right, height + down, "yuv420p"
    coder.framerate, coder.time_base = Fraction(25), Fraction(1, 25)
    coder.options = {"crf": str(crf), "preset": "veryfast", "tune": "zerolatency", "threads": "1"}
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    decoded = []
    for number, frame in enumerate(frames):
        padded = cv2.copyMakeBorder(frame, 0, down, 0, right, cv2.BORDER_REPLICATE)
        picture = av.VideoFrame.from_ndarray(np.asarray(padded, np.uint8), format="rgb24")
        picture.pts = number
        decoded += [shown for packet in coder.encode(picture) for shown in decoder.decode(packet)]
    decoded += [shown for packet in coder.encode(None) for shown in decoder.decode(packet)] + decoder.decode(None)
    return np.ascontiguousarray(decoded[-1].to_ndarray(format="rgb24")[:height, :width], np.uint8)


def _shown(image: Pixels) -> Image:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


# ------------------------------------------------------------------------------------------------- one degradation


@dataclass(frozen=True)
class Noise:
    """Noise in gray levels: ``gaussian`` its standard deviation, ``shot`` that of Poisson noise at white, 0 = none;
    ``one_channel``: the same in all channels."""

    gaussian: float
    shot: float
    one_channel: bool


@dataclass(frozen=True)
class Rerecorded:
    """What was drawn of a ``SecondPass``: ``blur`` sigma and ``ringing`` cutoff (None: not filtered) in pixels of the
    recording."""

    blur: float
    ringing: float | None
    noise: Noise
    jpeg: int | None


@dataclass(frozen=True, eq=False)
class Degradation:
    """What was drawn for one crop of ``size`` pixels.

    ``kernel`` float32 [K, K] is all blur before the recording, in pixels of the crop: ``sigmas`` along and across (of
    a disc half its radius, twice), ``angle`` in radians, ``defocus`` and the ``motion``'s length say of what it is.
    ``first_width`` is the crop's in the first recording, ``width`` in the last one; they differ only if there is a
    ``second``. ``jpeg`` is a quality and ``crf`` H.264's, None without. ``drift`` is how far the face moves between
    frames of a clip in pixels (x, y).
    """

    preset: str
    size: int
    kernel: Floats = field(repr=False)
    sigmas: tuple[float, float]
    angle: float
    defocus: bool
    motion: float
    first_width: int
    width: int
    gray: bool
    light: float
    gain: float
    noise: Noise
    jpeg: int | None
    second: Rerecorded | None
    crf: int | None
    drift: tuple[int, int]


_DRAWN = (
    *("sigma", "sigma_across", "angle", "anisotropic", "defocus", "moving", "motion", "width", "gray", "light", "gain"),
    *("noise", "photons", "one_channel", "jpeg", "second", "second_blur", "resize", "ringing", "cutoff"),
    *("second_noise", "second_photons", "second_one_channel", "second_jpeg", "h264", "drift_x", "drift_y"),
)
"""What the uniform numbers of one image decide, in this order; what is new comes last, so that the rest stays."""


def draw(preset: Preset, size: int, rng: np.random.Generator, severity: float = 1.0) -> Degradation:
    """Draw what is done to one crop of ``size`` pixels.

    ``severity`` in [0, 1] (else ValueError): at 0 all is at its mildest end, at 1 the whole range is drawn from.
    From ``rng`` always the same count of numbers is taken.
    """
    if not 0 <= severity <= 1:
        raise ValueError(f"severity is 0 to 1, not {severity}")
    pushes = rng.standard_normal((_STEPS, 2))
    # plain floats: NumPy's own would make images float64
    at = dict(zip(_DRAWN, rng.random(len(_DRAWN)).tolist(), strict=True))

    def value(ends: Range, name: str) -> float:
        return ends[0] + severity * at[name] * (ends[1] - ends[0])

    def chosen(share: float, name: str) -> bool:
        return at[name] < severity * share

    def quality(ends: Range | None, name: str) -> int | None:
        return None if ends is None else round(value(ends, name))

    def noise(ranges: NoiseRanges, prefix: str = "") -> Noise:
        photons = at[f"{prefix}photons"] < ranges.photons
        strength = value(ranges.shot if photons else ranges.gaussian, f"{prefix}noise")
        one_channel = is_gray or at[f"{prefix}one_channel"] < ranges.one_channel
        return Noise(0.0 if photons else strength, strength if photons else 0.0, one_channel)

    is_gray = chosen(preset.gray, "gray")
    to_crop = size / REFERENCE
    sigma = value(preset.blur, "sigma") * to_crop
    defocus = at["defocus"] < preset.defocus
    across = sigma
    if not defocus and at["anisotropic"] < preset.anisotropic:
        across = value(preset.blur, "sigma_across") * to_crop
    angle = np.pi * at["angle"]
    motion = value(preset.motion, "motion") * to_crop if at["moving"] < preset.moving else 0.0
    kernel = disc_kernel(2 * sigma) if defocus else gaussian_kernel(sigma, across, angle)
    if motion:
        kernel = convolve2d(kernel, motion_kernel(curved_way(motion, pushes)))
    width = float(size) if preset.width is None else 1 / value((1 / preset.width[0], 1 / preset.width[1]), "width")
    first_width, second = width, None
    if preset.second is not None and chosen(preset.second.share, "second"):
        again = preset.second
        first_width = width / value(again.resize, "resize")
        second = Rerecorded(
            value(again.blur, "second_blur"),
            np.pi * (1 / 3 + 2 / 3 * at["cutoff"]) if chosen(again.ringing, "ringing") else None,
            noise(again.noise, "second_"),
            quality(again.jpeg, "second_jpeg"),
        )
    return Degradation(
        preset=preset.name,
        size=size,
        kernel=kernel,
        sigmas=(sigma, across),
        angle=angle,
        defocus=defocus,
        motion=motion,
        first_width=min(round(first_width), size),
        width=min(round(width), size),
        gray=is_gray,
        light=value(preset.light, "light"),
        gain=value(preset.gain, "gain"),
        noise=noise(preset.noise),
        jpeg=quality(preset.jpeg, "jpeg"),
        second=second,
        crf=quality(preset.h264, "h264"),
        drift=(int(3 * at["drift_x"]) - 1, int(3 * at["drift_y"]) - 1),
    )


def degrade(image: Pixels, drawn: Degradation, rng: np.random.Generator, scale: int = 1) -> Image:
    """A crop [size, size, 3] as it would have been recorded, enlarged back: uint8 [size / scale, size / scale, 3].

    For a network that enlarges ``scale`` times the recording is no wider than that, and is enlarged only so far. Blur,
    downsampling, noise and JPEG come in this order, then, if drawn, all of them once more, then H.264. One number is
    taken from ``rng``. Another size than the drawn one, or one that ``scale`` does not divide, raises ValueError.
    """
    size = drawn.size
    if image.shape != (size, size, 3) or size % scale:
        raise ValueError(f"a crop [{size}, {size}, 3] is needed, divisible by {scale}, not {list(image.shape)}")
    return _degraded(image, drawn, rng, size // scale, drawn.kernel, size, (size // scale, size // scale))


def degrade_photograph(
    image: Pixels, drawn: Degradation, rng: np.random.Generator, side: float, scale: int = 1
) -> Image:
    """A photograph [H, W, 3] in which the crop is ``side`` pixels wide, recorded as ``degrade`` records the crop.

    It is enlarged back to its own size: uint8 [H, W, 3]. The crop is smeared by the same share of itself, is recorded
    as wide, and meets the same noise and codecs; what noise gives is drawn for the whole picture, so not the same.
    """
    factor = side / drawn.size
    reach = max(0, round((len(drawn.kernel) * factor - 1) / 2))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    kernel = np.asarray(cv2.resize(drawn.kernel, (2 * reach + 1, 2 * reach + 1), interpolation=how), np.float32)
    kernel = kernel / kernel.sum()
    return _degraded(image, drawn, rng, drawn.size // scale, kernel, side, (image.shape[0], image.shape[1]))


def _degraded(
    image: Pixels,
    drawn: Degradation,
    rng: np.random.Generator,
    most: int,
    kernel: Floats,
    side: float,
    out: tuple[int, int],
) -> Image:
    """A picture in which the crop is ``side`` pixels wide, and recorded ``most`` pixels wide at most."""

    def recorded_at(width: int) -> tuple[int, int]:
        height, length = (max(1, round(pixels * min(width, most) / side)) for pixels in image.shape[:2])
        return height, length

    own = np.random.default_rng(int(rng.integers(2**63)))
    picture = resize(blur(image, kernel), *recorded_at(drawn.first_width))
    if drawn.gray:
        picture = gray(picture)
    picture = dim(picture, drawn.light)
    before, after = drawn.noise, drawn.light ** (-drawn.gain / _GAMMA)
    frames = _FRAMES if drawn.crf is not None else 1
    clip = [
        _recorded(after * _noisy(_moved(picture, drawn.drift, left), before, own), drawn.jpeg)
        for left in reversed(range(frames))
    ]
    if drawn.second is not None:
        clip = [_again(each, drawn.second, recorded_at(drawn.width), own) for each in clip]
    shown = clip[-1] if drawn.crf is None else h264(clip, drawn.crf)
    return _shown(resize(shown, *out))


def _moved(picture: Floats, drift: tuple[int, int], steps: int) -> Floats:
    """The picture of some frames before: it moves by ``drift`` pixels (x, y) a frame."""
    if not steps or drift == (0, 0):
        return picture
    shift = np.array([[1, 0, -drift[0] * steps], [0, 1, -drift[1] * steps]], np.float64)
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, shift, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _noisy(picture: Floats, noise: Noise, rng: np.random.Generator) -> Floats:
    if noise.shot:
        return poisson_noise(picture, noise.shot, rng, noise.one_channel)
    return gaussian_noise(picture, noise.gaussian, rng, noise.one_channel) if noise.gaussian else picture


def _recorded(picture: Pixels, quality: int | None) -> Image:
    shown = _shown(picture)
    return shown if quality is None else jpeg(shown, quality)


def _again(picture: Image, second: Rerecorded, size: tuple[int, int], rng: np.random.Generator) -> Image:
    """A second pass over a recorded picture, to ``size`` pixels (height, width)."""
    smaller = resize(blur(picture, gaussian_kernel(second.blur)), *size)
    if second.ringing is not None:
        smaller = blur(smaller, ringing_kernel(second.ringing))
    return _recorded(_noisy(smaller, second.noise, rng), second.jpeg)
