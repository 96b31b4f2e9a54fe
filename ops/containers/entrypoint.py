"""What a container starts, in place of a module of ZenML's: that module, patched as the command that began the run is.

python -m ops.containers.entrypoint zenml.entrypoints.entrypoint ARGUMENTS
"""

import os
import runpy
import sys

from facerecon.errors import FaceReconError
from facerecon.workspace import state_folder
from ops.containers.settings import check_code
from ops.faults import clear_faults, stoppable
from ops.zenml_patches import patched


def main() -> None:
    """Run the module that the first argument names; what a user can mend is one line on standard error."""
    module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    try:
        with patched(), clear_faults(), stoppable():
            check_code(dict(os.environ))
            _check_rights()
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    except FaceReconError as error:
        if os.environ.get("FACERECON_DEBUG"):
            raise
        error.show()
        sys.exit(error.exit_code)


def _check_rights() -> None:
    """See that the volume can be written to.

    Raises:
        FaceReconError: it cannot.
    """
    folder = state_folder()
    if not os.access(folder, os.W_OK | os.X_OK):
        raise FaceReconError(
            f"the volume at {folder} cannot be written to by user {os.getuid()}, whom this container runs as: give it "
            "to that user, or run containers as its owner"
        )


if __name__ == "__main__":
    main()
