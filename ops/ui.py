"""The web pages of MLflow and ZenML, for this clone's runs, on this machine only."""

import subprocess
import sys
import time
from pathlib import Path

from facerecon.errors import FaceReconError
from ops.stack import tracking_uri

HOST = "127.0.0.1"


def mlflow_command(port: int) -> list[str]:
    """What starts MLflow's page."""
    return ["mlflow", "ui", "--backend-store-uri", tracking_uri(), "--host", HOST, "--port", str(port)]


def zenml_command(port: int) -> list[str]:
    """What starts ZenML's page; it goes on until it is stopped."""
    return ["zenml", "login", "--local", "--blocking", "--ip-address", HOST, "--port", str(port)]


def serve(mlflow_port: int, zenml_port: int) -> None:
    """Start both and wait until they end or the user interrupts.

    Raises:
        FaceReconError: one of them ended by itself, as with a port that is taken.
    """
    pages = {
        "MLflow": (mlflow_command(mlflow_port), mlflow_port),
        "ZenML": (zenml_command(zenml_port), zenml_port),
    }
    running: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, (command, port) in pages.items():
            print(f"{name:<7} http://{HOST}:{port}    {' '.join(command)}", flush=True)
            program = str(Path(sys.executable).parent / command[0])
            running[name] = subprocess.Popen([program, *command[1:]])
        print("Ctrl-C ends both.", flush=True)
        while True:
            for name, process in running.items():
                if process.poll() is not None:
                    raise FaceReconError(
                        f"{name}'s page ended (exit {process.returncode}), its last lines say why: "
                        f"is port {pages[name][1]} taken? Choose another with `facerecon ui --help`"
                    )
            time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait(timeout=30)
