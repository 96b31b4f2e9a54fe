"""Benchmarks as commands."""

import sys
from collections.abc import Callable

from facerecon.errors import FaceReconError


def as_command(main: Callable[[], None]) -> None:
    """Call ``main``; what a user can mend is told in one line, with exit status 1."""
    try:
        main()
    except FaceReconError as error:
        error.show()
        sys.exit(error.exit_code)
