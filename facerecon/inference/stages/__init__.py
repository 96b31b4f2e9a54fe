"""The stages of this project, each registered under its name."""

from facerecon.inference.stages import detect, enlarge, hide, inpaint, landmarks, restore

__all__ = ["detect", "enlarge", "hide", "inpaint", "landmarks", "restore"]
