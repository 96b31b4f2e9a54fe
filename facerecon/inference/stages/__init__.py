"""The stages of this project, each registered under its name."""

from facerecon.inference.stages import detect, hide, inpaint

__all__ = ["detect", "hide", "inpaint"]
