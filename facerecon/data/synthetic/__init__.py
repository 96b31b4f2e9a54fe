"""Sample faces: photographs of people who do not exist, with the exact truth about them.

A fresh clone has no photographs, so the project draws its own on MediaPipe's canonical face. A person is a shape and a
skin; hair, light, pose, expression and background change from photograph to photograph.
"""

from facerecon.data.synthetic.dataset import write_dataset
from facerecon.data.synthetic.mesh import CanonicalMesh
from facerecon.data.synthetic.people import HairStyle, Identity, Lighting, Scene, draw_identity, draw_scene
from facerecon.data.synthetic.render import Rendered, render

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
