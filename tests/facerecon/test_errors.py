"""The user's error: one line, without a traceback, status 1, also from another process."""

import pickle

import click
import pytest
from click.testing import CliRunner

from facerecon.errors import FaceReconError


def test_the_message_is_one_line() -> None:
    error = FaceReconError("data.path: /photos\nof\r\n\tme   is gone:\u2028 give a folder")
    assert error.message == "data.path: /photos of me is gone: give a folder"


def test_a_command_shows_it_without_traceback() -> None:
    @click.command()
    def command() -> None:
        raise FaceReconError("give a folder")

    result = CliRunner().invoke(command)
    assert result.exit_code == 1
    assert result.output == "Error: give a folder\n"


def test_it_comes_back_whole_from_a_worker_process() -> None:
    with pytest.raises(FaceReconError, match="give a folder"):
        raise pickle.loads(pickle.dumps(FaceReconError("give a folder")))
