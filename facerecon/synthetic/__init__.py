"""Sample faces: photographs of people who do not exist, with the exact truth about them.

A fresh clone has no photographs, so the project draws its own on MediaPipe's canonical face. A person is a shape and a
skin; hair, light, pose, expression and background change from photograph to photograph.
"""

from facerecon.drawn import Lighting
from facerecon.synthetic.dataset import write_dataset
from facerecon.synthetic.mesh import CanonicalMesh
from facerecon.synthetic.people import HairStyle, Identity, Scene, draw_identity, draw_scene
from facerecon.synthetic.render import Rendered, render

__all__ = [
    "CanonicalMesh",
    "HairStyle",
    "Identity",
    "Lighting",
    "Rendered",
    "Scene",
    "draw_identity",
    "draw_scene",
    "render",
    "write_dataset",
]
