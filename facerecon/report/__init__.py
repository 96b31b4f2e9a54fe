"""The report of a run: one HTML file that needs no network, with figures, faces, curves and where all of it is from."""

from facerecon.report.render import render_report
from facerecon.report.story import Story

__all__ = ["Story", "render_report"]
