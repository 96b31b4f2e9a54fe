"""Pretrained networks that judge and teach: perceptual distance and identity."""

# each module registers its identity network
from facerecon.perception import dlib, facenet, sface

__all__ = ["dlib", "facenet", "sface"]
