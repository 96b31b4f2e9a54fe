"""The five lighting conditions, each as plain as its name, in balance over the photographs of a person.

The photographs of ``draw_scene`` alone are lit gently, as a photographer would have it. Here one light does nearly all
the work, so that figures by condition say what a condition does.
"""

from dataclasses import dataclass, replace

import numpy as np

from facerecon.drawn import Lighting
from facerecon.randomness import generator
from facerecon.synthetic.people import Camera, Colour, Light, Scene, draw_identity, plain_colour, unit_direction

VERSION = 1
"""Counts up whenever the same seed gives other lights: photographs of another version are drawn anew."""


@dataclass(frozen=True)
class Condition:
    """A light before it is varied, in camera space (x right, y up, z to the camera); x is mirrored for every second.

    ``key``: where the light comes from; ``strength``, ``rim_strength``: irradiance on a white surface over pi;
    ``ambient``: the surroundings' from above, from below and from the camera's side; ``warmth``: a factor per channel;
    ``softness`` of shadows, about 1; ``exposure``: the camera's, for skin of middling reflectance; ``backdrop``: mean
    radiance of what is behind, None for a room as any; ``shot``, ``read``: noise as in ``Camera``, at most.
    """

    key: Colour
    strength: float
    rim: Colour
    rim_strength: float
    ambient: Colour
    exposure: float
    softness: float = 0.7
    warmth: Colour = (1.0, 0.99, 0.97)
    backdrop: float | None = None
    shot: float = 0.006
    read: float = 0.0025


CONDITIONS: dict[Lighting, Condition] = {
    Lighting.FRONTAL: Condition(
        key=(0.08, 0.18, 1.0),
        strength=0.8,
        rim=(-0.9, 0.4, -0.5),
        rim_strength=0.1,
        ambient=(0.4, 0.26, 0.3),
        exposure=0.95,
        softness=1.0,
    ),
    Lighting.SIDE: Condition(
        key=(1.0, 0.15, 0.1),
        strength=1.7,
        rim=(0.9, 0.3, -0.5),
        rim_strength=0.1,
        ambient=(0.08, 0.04, 0.05),
        exposure=1.0,
        softness=0.5,
    ),
    Lighting.TOP: Condition(
        key=(0.06, 1.0, 0.3),
        strength=1.9,
        rim=(0.3, 0.9, -0.4),
        rim_strength=0.2,
        ambient=(0.12, 0.05, 0.07),
        exposure=1.0,
        softness=0.5,
    ),
    Lighting.BACK: Condition(
        key=(0.3, 0.3, 0.9),
        strength=0.05,
        rim=(-0.75, 0.5, -0.65),
        rim_strength=2.6,
        ambient=(0.11, 0.07, 0.1),
        exposure=1.0,
        softness=1.4,
        backdrop=1.2,
    ),
    Lighting.DIM: Condition(
        key=(0.4, 0.5, 0.8),
        strength=0.6,
        rim=(-0.9, 0.2, -0.4),
        rim_strength=0.1,
        ambient=(0.25, 0.14, 0.18),
        exposure=0.15,
        softness=0.8,
        warmth=(1.2, 0.97, 0.72),
        shot=0.03,
        read=0.008,
    ),
}


def condition_of(seed: int, identity_number: int, photo_number: int) -> Lighting:
    """The condition of a photograph: of each five of a person one under each, in an order drawn for the person."""
    block, place = divmod(photo_number, len(Lighting))
    order = generator(seed, identity_number, block, "lights").permutation(len(Lighting))
    return list(Lighting)[int(order[place])]


def under(scene: Scene, name: Lighting) -> Scene:
    """The photograph ``scene`` under the light called ``name``; who is in it, and how they look, stays."""
    told = CONDITIONS[name]
    rng = generator(scene.seed, scene.identity_number, scene.photo_number, "light")
    hand = np.array([rng.choice([-1.0, 1.0]), 1.0, 1.0])
    key = np.array(told.key) / np.linalg.norm(told.key) + rng.normal(0, 0.05, 3)
    tint = np.array(told.warmth) * np.exp(rng.normal(0, 0.03, 3))
    around = [plain_colour(tint * amount) for amount in told.ambient]
    light = Light(
        name=name,
        key=unit_direction(key * hand),
        key_colour=plain_colour(tint * told.strength),
        rim=unit_direction(np.array(told.rim) * hand),
        rim_colour=plain_colour(tint * told.rim_strength * rng.uniform(0.8, 1.2)),
        ambient=(around[0], around[1], around[2]),
        softness=told.softness,
        backdrop=told.backdrop,
    )
    return replace(scene, light=light, camera=_camera(scene, told, rng))


def _camera(scene: Scene, told: Condition, rng: np.random.Generator) -> Camera:
    """The camera of a scene, exposed for a face in the middle of a condition's light."""
    melanin = draw_identity(scene.seed, scene.identity_number).skin.melanin
    exposure = told.exposure * float(np.exp(rng.normal(0, 0.08) + 0.3 * (melanin - 0.85)))
    shot, read = (most * float(rng.uniform(0.6, 1)) for most in (told.shot, told.read))
    return replace(scene.camera, exposure=exposure, shot=shot, read=read)
