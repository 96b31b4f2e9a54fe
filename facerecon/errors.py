"""The errors that a user can cause."""

import click


class FaceReconError(click.ClickException):
    """A user can cause this and mend it: the message says what, where and how to fix it, in one line.

    It derives from ``click.ClickException`` so that every command line built on click, ZenML's included,
    prints ``Error: <message>`` without a traceback and exits with status 1.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))

    def __reduce__(self) -> tuple[type["FaceReconError"], tuple[str]]:
        # worker processes send the error back by pickling it
        return (type(self), (self.message,))


class DivergedError(FaceReconError):
    """What a training computes, its loss, gradient or pictures, is no longer finite."""
