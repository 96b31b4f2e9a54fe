"""The web pages of MLflow and ZenML, for this clone's runs, on this machine only."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from urllib.parse import quote

from facerecon.errors import FaceReconError
from ops.stack.tracker import EXPERIMENT, is_local, local_uri, use_tracker

HOST = "127.0.0.1"

TRAINING = "workflowType=machine_learning"
"""Says to MLflow's page to show runs and models; it begins with traces and prompts, whatever the experiment's tags."""

NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""MLflow's server would start eight processes for jobs that nobody gives it here."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends the pages."""


def mlflow_command(port: int) -> list[str]:
    """What starts MLflow's page."""
    where = ["--host", HOST, "--port", str(port), "--workers", "1"]
    return ["mlflow", "ui", "--backend-store-uri", local_uri(), *where]


def zenml_command(port: int) -> list[str]:
    """What starts ZenML's page; it goes on until it is stopped."""
    return ["zenml", "login", "--local", "--blocking", "--ip-address", HOST, "--port", str(port)]


def mlflow_links(port: int) -> dict[str, str]:
    """Addresses on MLflow's page by what they show: the runs and, where there are two, the last two side by side."""
    from mlflow import MlflowClient

    client = MlflowClient(local_uri())
    experiment = client.get_experiment_by_name(EXPERIMENT)
    if experiment is None:
        return {}
    number, page = experiment.experiment_id, f"http://{HOST}:{port}/#"
    links = {"all runs": f"{page}/experiments/{number}?{TRAINING}"}
    runs = client.search_runs([number], order_by=["attributes.start_time DESC"], max_results=2)
    if len(runs) == 2:
        # the older one first, as one reads a change
        chosen, among = quote(json.dumps([run.info.run_id for run in reversed(runs)])), quote(json.dumps([number]))
        links["the last two compared"] = f"{page}/compare-runs?runs={chosen}&experiments={among}&{TRAINING}"
    return links


def skip_sign_up() -> None:
    """Answer for the user of a ZenML store on this machine what its page would ask first: no e-mail, no survey."""
    from zenml.client import Client
    from zenml.constants import FINISHED_ONBOARDING_SURVEY_KEY
    from zenml.enums import StoreType

    client = Client()
    if client.zen_store.type != StoreType.SQL:
        return
    user = client.get_user(client.active_user.id)  # as it is now: the active user is kept as it was read first
    if user.email_opted_in is None or not user.user_metadata.get(FINISHED_ONBOARDING_SURVEY_KEY):
        answers = {**user.user_metadata, FINISHED_ONBOARDING_SURVEY_KEY: True}
        client.update_user(user.id, updated_email_opt_in=bool(user.email_opted_in), updated_metadata=answers)


def serve(mlflow_port: int, zenml_port: int) -> None:
    """Start both and wait until they end or the user interrupts; both end with this process.

    On a stack whose pages servers have, nothing is started: it says where they are.

    Raises:
        FaceReconError: one of them ended by itself, as with a port that is taken.
    """
    if not is_local():
        return _tell_where()
    pages = {
        "MLflow": (mlflow_command(mlflow_port), mlflow_port),
        "ZenML": (zenml_command(zenml_port), zenml_port),
    }
    running: dict[str, subprocess.Popen[bytes]] = {}
    for number in SIGNALS:
        signal.signal(number, _end_once)
    try:
        skip_sign_up()
        links = mlflow_links(mlflow_port)
        for name, (command, port) in pages.items():
            print(f"{name:<7} http://{HOST}:{port}    {' '.join(command)}", flush=True)
            program = str(Path(sys.executable).parent / command[0])
            # a session of its own: so it can be ended with all processes that it starts
            running[name] = subprocess.Popen([program, *command[1:]], env=os.environ | NO_JOBS, start_new_session=True)
        for shown, link in links.items():
            print(f"MLflow, {shown}: {link}", flush=True)
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
        _ignore_signals()
        _end(list(running.values()))


def _tell_where() -> None:
    """The addresses of the active stack's servers."""
    from zenml.client import Client

    print(f"MLflow  {use_tracker()}")
    print(f"ZenML   {Client().zen_store.url}")


def _end_once(_number: int, _frame: FrameType | None) -> None:
    """Make and a terminal may both pass on a signal: a second one must not hinder the ending that the first began."""
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the processes with all that they started; what has not ended after ten seconds is killed."""
    for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
