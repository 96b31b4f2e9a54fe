"""Who is drawn (identity: shape and skin) and how (scene: pose, expression, hair, light, background, camera)."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from facerecon.drawn import Lighting
from facerecon.randomness import generator
from facerecon.synthetic.modes import EXPRESSIONS, FIELD_SIZE, SHAPES

Colour = tuple[float, float, float]
"""Linear RGB, 0 to 1 for reflectances."""


class HairStyle(StrEnum):
    """What the hair is like."""

    BUZZ = "buzz"
    SHORT = "short"
    QUIFF = "quiff"
    BOB = "bob"
    LONG = "long"
    WAVY = "wavy"
    CURLY = "curly"
    TIED = "tied"


@dataclass(frozen=True)
class Skin:
    """How a person's skin, brows and eyes look. Amounts are in [0, 1] unless said otherwise.

    ``melanin`` [0.1, 2.6] and ``blood`` [0.2, 0.8] are optical densities; ``lip_blood`` and ``lip_melanin`` are
    added within the lips; lengths are in cm; ``pattern`` seeds blotches, moles, freckles and strokes of the brows.
    """

    melanin: float
    blood: float
    lip_blood: float
    lip_melanin: float
    freckles: float
    moles: int
    blotches: float
    stubble: float
    age: float
    gloss: float
    shadows_under_eyes: float
    brow_thickness: float
    brow_height: float
    brow_arch: float
    brow_density: float
    brow_colour: Colour
    iris: Colour
    pattern: int


@dataclass(frozen=True)
class Identity:
    """A person: shape coefficients in the order of ``modes.SHAPES`` and of the random field, and skin.

    ``masculinity`` in [-1, 1] only ties what tends to go together (jaw, brows, beard, hair styles).
    """

    seed: int
    number: int
    masculinity: float
    shape: tuple[float, ...]
    field: tuple[float, ...]
    skin: Skin

    def describe(self) -> dict[str, Any]:
        """Everything as plain values for a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class Hair:
    """The hair of one photograph. Lengths in cm; ``parting`` is its place, -1 to 1; ``pattern`` seeds the strands."""

    style: HairStyle
    colour: Colour
    length: float
    volume: float
    curl: float
    parting: float
    fringe: float
    recede: float
    pattern: int


@dataclass(frozen=True)
class Light:
    """One key light, one rim light and the light of the surroundings, in camera space (x right, y up, z to the camera).

    Directions point from the head to the light and have length 1; strengths are irradiance on a white surface over pi.
    ``ambient`` are the surroundings from above, from below and from the camera's side (linear RGB). ``backdrop`` is the
    mean radiance of what is behind the person; None: as bright as that is drawn.
    """

    name: Lighting
    key: Colour
    key_colour: Colour
    rim: Colour
    rim_colour: Colour
    ambient: tuple[Colour, Colour, Colour]
    softness: float
    backdrop: float | None = None


@dataclass(frozen=True)
class Camera:
    """Where the camera is and how it records.

    ``distance`` to the head and ``span`` (what the image shows at the head), cm; ``shift`` of the head's centre, cm;
    ``exposure`` a factor; ``white_balance`` factors per channel; ``shot`` and ``read`` noise as standard deviations
    at full brightness (of 1); ``blur`` in pixels of a 256-pixel image.
    """

    distance: float
    span: float
    shift: tuple[float, float]
    exposure: float
    white_balance: Colour
    shot: float
    read: float
    blur: float


@dataclass(frozen=True)
class Scene:
    """One photograph of a person. Angles in degrees, signs as in ``landmarks.head_angles``; ``gaze`` is relative to
    the camera. ``expression`` are coefficients in the order of ``modes.EXPRESSIONS``."""

    seed: int
    identity_number: int
    photo_number: int
    yaw: float
    pitch: float
    roll: float
    gaze: tuple[float, float]
    expression: tuple[float, ...]
    hair: Hair
    light: Light
    camera: Camera
    cloth: Colour
    neckline: float
    backdrop: int

    def describe(self) -> dict[str, Any]:
        """Everything as plain values for a JSON file; of a light without ``backdrop`` nothing about that."""
        described = asdict(self)
        described["light"] = {name: value for name, value in described["light"].items() if value is not None}
        return described


def draw_identity(seed: int, number: int) -> Identity:
    """Person ``number`` of the world ``seed``: the same arguments, the same person."""
    rng = generator(seed, number, "identity")
    masculinity = float(np.clip(rng.choice([-0.6, 0.6]) + 0.25 * rng.standard_normal(), -1, 1))
    names = list(SHAPES)
    shape = np.clip(rng.standard_normal(len(names)) * 0.85, -1.7, 1.7)
    leaning = {
        "jaw_width": 0.4,
        "brow_ridge": 0.7,
        "chin_width": 0.4,
        "face_width": -0.3,
        "neck_width": 1.0,
        "nose_length": 0.3,
    }
    leaning |= {"brow_height": -0.5, "eye_size": -0.4, "upper_lip_full": -0.4, "lower_lip_full": -0.3}
    for name, amount in leaning.items():
        shape[names.index(name)] += amount * masculinity
    uneven = rng.standard_normal(FIELD_SIZE) * 0.9
    return Identity(
        seed=seed,
        number=number,
        masculinity=masculinity,
        shape=tuple(float(c) for c in shape),
        field=tuple(float(c) for c in np.clip(uneven, -2, 2)),
        skin=_draw_skin(rng, masculinity),
    )


def _draw_skin(rng: np.random.Generator, masculinity: float) -> Skin:
    """Skin, brows and eyes."""
    melanin = float(
        rng.choice([rng.uniform(0.2, 0.55), rng.uniform(0.45, 1.1), rng.uniform(1.1, 2.1)], p=[0.4, 0.35, 0.25])
    )
    fair = float(np.clip(1.1 - melanin, 0, 1))
    male = float(masculinity > 0)
    irises = {
        "brown": (0.09, 0.04, 0.02),
        "hazel": (0.2, 0.12, 0.045),
        "green": (0.16, 0.2, 0.1),
        "blue": (0.16, 0.27, 0.4),
    }
    odds = np.array([0.25 + 3 * (1 - fair), 0.25 * fair + 0.05, 0.2 * fair, 0.4 * fair])
    iris = np.array(irises[str(rng.choice(list(irises), p=odds / odds.sum()))]) * rng.uniform(0.75, 1.3)
    light_brows = rng.uniform(0, 1) < 0.35 * fair
    brow = np.array((0.2, 0.12, 0.06) if light_brows else (0.03, 0.018, 0.012)) * rng.uniform(0.7, 1.4)
    return Skin(
        melanin=melanin,
        blood=float(rng.uniform(0.2, 0.5)),
        lip_blood=float(rng.uniform(0.5, 1.1) + (0.7 * rng.uniform() if not male else 0)),
        lip_melanin=float(rng.uniform(0.1, 0.4)),
        freckles=float(rng.uniform(0.3, 1) * fair if rng.uniform() < 0.3 else 0),
        moles=int(rng.integers(0, 7)),
        blotches=float(rng.uniform(0.3, 1)),
        stubble=float(male * rng.choice([0, rng.uniform(0.2, 0.5), rng.uniform(0.6, 1)], p=[0.45, 0.35, 0.2])),
        age=float(rng.beta(1.3, 1.8)),
        gloss=float(rng.uniform(0.3, 1)),
        shadows_under_eyes=float(rng.uniform(0, 1)),
        brow_thickness=float(np.clip(0.46 + 0.13 * masculinity + 0.1 * rng.standard_normal(), 0.22, 0.75)),
        brow_height=float(np.clip(-0.2 + 0.12 * rng.standard_normal(), -0.42, 0.05)),
        brow_arch=float(np.clip(-0.08 * masculinity + 0.12 * rng.standard_normal(), -0.25, 0.22)),
        brow_density=float(rng.uniform(0.55, 1)),
        brow_colour=plain_colour(brow),
        iris=plain_colour(iris),
        pattern=int(rng.integers(2**31)),
    )


def draw_scene(seed: int, identity_number: int, photo_number: int) -> Scene:
    """Photograph ``photo_number`` of a person: the same arguments, the same scene.

    Lights follow one another, so that the photographs of many people hold all five in equal numbers. Yaw lies
    within 30 degrees, pitch within 15, roll within 10.
    """
    rng = generator(seed, identity_number, photo_number, "scene")
    person = draw_identity(seed, identity_number)
    lighting = list(Lighting)[(identity_number + photo_number) % len(Lighting)]
    light, exposure = _draw_light(rng, lighting)
    dim = lighting is Lighting.DIM
    warm = rng.normal(0, 0.05)
    cloth = np.array(rng.uniform(0.02, 0.5, 3)) * 0.5 + rng.uniform(0.02, 0.4) * 0.5
    return Scene(
        seed=seed,
        identity_number=identity_number,
        photo_number=photo_number,
        yaw=float(np.clip(rng.normal(0, 13), -30, 30)),
        pitch=float(np.clip(rng.normal(0, 6), -15, 15)),
        roll=float(np.clip(rng.normal(0, 4), -10, 10)),
        gaze=(float(np.clip(rng.normal(0, 6), -14, 14)), float(np.clip(rng.normal(0, 3), -7, 7))),
        expression=_draw_expression(rng),
        hair=_draw_hair(rng, person),
        light=light,
        camera=Camera(
            distance=float(rng.uniform(65, 150)),
            span=float(rng.uniform(30.0, 36.0)),
            shift=(float(rng.normal(0, 0.7)), float(rng.normal(-0.6, 0.6))),
            # cameras expose for the face
            exposure=exposure * float(np.exp(rng.normal(0, 0.1) + 0.3 * (person.skin.melanin - 0.85))),
            white_balance=(float(np.exp(warm)), 1.0, float(np.exp(-warm))),
            shot=0.004 + (0.012 if dim else 0.002) * float(rng.uniform()),
            read=0.0015 + (0.004 if dim else 0.001) * float(rng.uniform()),
            blur=float(rng.uniform(0.3, 0.6)),
        ),
        cloth=plain_colour(cloth),
        neckline=float(rng.uniform(-14.6, -12.0)),
        backdrop=int(rng.integers(2**31)),
    )


def _draw_expression(rng: np.random.Generator) -> tuple[float, ...]:
    """Coefficients of a plausible expression: one mood, and a little of everything."""
    values = dict.fromkeys(EXPRESSIONS, 0.0)
    mood = rng.choice(["calm", "smile", "laugh", "talk", "surprise", "stern"], p=[0.34, 0.24, 0.14, 0.14, 0.06, 0.08])
    values["close_lids"] = float(np.clip(rng.normal(-0.32, 0.1), -0.5, 0))
    values["close_lips"] = float(rng.uniform(0.93, 1.02))
    values["smile"] = float(abs(rng.normal(0, 0.15)))
    values["brow_raise"] = float(rng.normal(0, 0.18))
    match mood:
        case "smile":
            values |= {"smile": rng.uniform(0.5, 1.0), "squint": rng.uniform(0, 0.3)}
            values["close_lips"] = rng.uniform(-0.5, 0.4) if rng.uniform() < 0.5 else 1.0
        case "laugh":
            values |= {
                "smile": rng.uniform(0.7, 1.1),
                "squint": rng.uniform(0.1, 0.45),
                "jaw_open": rng.uniform(0.2, 0.55),
            }
            values["close_lips"] = 0.3
        case "talk":
            values |= {"jaw_open": rng.uniform(0.1, 0.5), "pucker": rng.uniform(-0.2, 0.3)}
            values["close_lips"] = 0.6
        case "surprise":
            values |= {"jaw_open": rng.uniform(0.2, 0.7), "brow_raise": rng.uniform(0.5, 1.2), "close_lids": -0.7}
        case "stern":
            values |= {"frown": rng.uniform(0.3, 0.9), "brow_furrow": rng.uniform(0.3, 1.0)}
    if rng.uniform() < 0.04:
        values["close_lids"] = rng.uniform(0.6, 1.0)
    return tuple(float(v) for v in values.values())


def _draw_hair(rng: np.random.Generator, person: Identity) -> Hair:
    """Style and colour for one photograph of ``person``."""
    short = [HairStyle.BUZZ, HairStyle.SHORT, HairStyle.QUIFF, HairStyle.CURLY, HairStyle.LONG]
    long = [HairStyle.BOB, HairStyle.LONG, HairStyle.WAVY, HairStyle.CURLY, HairStyle.TIED, HairStyle.SHORT]
    if person.masculinity > 0:
        style = HairStyle(rng.choice(short, p=[0.2, 0.36, 0.3, 0.1, 0.04]))
    else:
        style = HairStyle(rng.choice(long, p=[0.24, 0.26, 0.22, 0.08, 0.14, 0.06]))
    lengths = {"buzz": 0.7, "short": 4.0, "quiff": 6.0, "bob": 17, "long": 30, "wavy": 29, "curly": 6.5, "tied": 12}
    volumes = {"buzz": 0.1, "short": 0.5, "quiff": 0.7, "bob": 0.7, "long": 0.6, "wavy": 0.9, "curly": 1.0, "tied": 0.2}
    curls = {
        "buzz": 0,
        "short": 0.08,
        "quiff": 0.1,
        "bob": 0.05,
        "long": 0.06,
        "wavy": 0.55,
        "curly": 0.6,
        "tied": 0.05,
    }
    colours = [
        (0.012, 0.009, 0.008),
        (0.035, 0.02, 0.012),
        (0.09, 0.045, 0.022),
        (0.3, 0.19, 0.085),
        (0.22, 0.07, 0.025),
    ]
    fair = float(np.clip(1.1 - person.skin.melanin, 0, 1))
    odds = np.array([0.3 + 1.6 * (1 - fair), 0.4, 0.3 * fair + 0.03, 0.28 * fair + 0.01, 0.12 * fair])
    colour = np.array(colours[int(rng.choice(5, p=odds / odds.sum()))]) * np.exp(rng.normal(0, 0.25))
    grey = np.clip((person.skin.age - 0.62) * 3, 0, 1) * rng.uniform(0.3, 1)
    colour = colour * (1 - grey) + np.array([0.26, 0.25, 0.24]) * grey
    return Hair(
        style=style,
        colour=plain_colour(colour),
        length=float(lengths[style] * rng.uniform(0.8, 1.2)),
        volume=float(volumes[style] * rng.uniform(0.7, 1.3)),
        curl=float(curls[style] * rng.uniform(0.6, 1.4)),
        parting=float(rng.choice([-0.45, 0.0, 0.45]) + rng.normal(0, 0.08)),
        fringe=float(rng.uniform(0.3, 1) if rng.uniform() < 0.4 else 0),
        recede=float(max(0.0, person.masculinity) * max(0.0, person.skin.age - 0.3) * 2.0 + rng.uniform(-0.5, 0.25)),
        pattern=int(rng.integers(2**31)),
    )


def _draw_light(rng: np.random.Generator, name: Lighting) -> tuple[Light, float]:
    """The light called ``name``, somewhat varied, and the exposure that suits it."""
    hand = float(rng.choice([-1, 1]))
    wobble = rng.normal(0, 0.1, 3)
    tint = np.exp(rng.normal(0, 0.04, 3))
    # direction and strength of key and rim; surroundings from above, below and the camera; softness; exposure
    key, strength, rim, rim_strength, around, softness, exposure = {
        Lighting.FRONTAL: (
            (0.25 * hand, 0.45, 1.0),
            0.75,
            (-0.9 * hand, 0.4, -0.5),
            0.15,
            (0.5, 0.24, 0.34),
            1.0,
            0.95,
        ),
        Lighting.SIDE: ((0.95 * hand, 0.35, 0.42), 1.15, (-0.8 * hand, 0.3, -0.6), 0.2, (0.3, 0.14, 0.16), 0.6, 1.0),
        Lighting.TOP: ((0.15 * hand, 1.0, 0.42), 1.15, (0.4 * hand, 0.8, -0.6), 0.25, (0.42, 0.16, 0.22), 0.7, 1.0),
        Lighting.BACK: ((0.45 * hand, 0.35, 0.85), 0.3, (-0.65 * hand, 0.55, -0.75), 2.2, (0.5, 0.26, 0.4), 1.4, 1.0),
        Lighting.DIM: ((0.5 * hand, 0.55, 0.75), 0.75, (-0.9 * hand, 0.2, -0.4), 0.3, (0.2, 0.1, 0.14), 0.8, 0.55),
    }[name]
    warmth = {Lighting.DIM: (1.3, 0.95, 0.62), Lighting.SIDE: (1.06, 1.0, 0.92)}.get(name, (1.0, 0.99, 0.97))
    sky = {Lighting.DIM: (1.1, 0.95, 0.85), Lighting.BACK: (0.98, 1.0, 1.06)}.get(name, (0.97, 1.0, 1.05))
    ground = np.array([1.08, 1.0, 0.9])
    return (
        Light(
            name=name,
            key=unit_direction(np.array(key) + wobble),
            key_colour=plain_colour(np.array(warmth) * tint * strength),
            rim=unit_direction(np.array(rim)),
            rim_colour=plain_colour(np.array([1.0, 0.98, 0.95]) * rim_strength * rng.uniform(0.7, 1.3)),
            ambient=(
                plain_colour(np.array(sky) * around[0]),
                plain_colour(ground * around[1]),
                plain_colour((np.array(sky) + ground) * 0.5 * around[2]),
            ),
            softness=softness,
        ),
        exposure,
    )


def plain_colour(values: np.ndarray) -> Colour:
    """Three plain floats."""
    return float(values[0]), float(values[1]), float(values[2])


def unit_direction(vector: np.ndarray) -> Colour:
    """The same direction with length 1."""
    return plain_colour(vector / np.linalg.norm(vector))
