"""Live video beside the bare chain: frames a second of the same clip with the same region, in turns.

From the project's root: ``python -m benchmarks.live --model outputs/demo/model.onnx --clip CLIP``. The bare chain
decodes the clip and makes its frames, eight together; the service does the same one by one, and sends each as two JPEGs
with its points to a client on this machine, which asks for the next ones. Both have one network of one thread. With a
model of landmarks points and depth are found, and sent with one JPEG.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from websockets.sync.client import connect

from benchmarks.command import as_command
from benchmarks.serving import REGION, started
from facerecon.contract import INPAINTING, LANDMARKS
from facerecon.data.footage.decode import Tally
from facerecon.errors import FaceReconError
from facerecon.inference import media
from facerecon.inference.chain import Chain
from facerecon.inference.making import Model, Request, Wanted, stages_of
from facerecon.inference.measuring import MeasurementRequest
from facerecon.inference.predictor import Predictor
from facerecon.inference.stage import Runtime
from ops.stack.tracker import create_experiment
from serving.live import MOST_ASKED
from serving.settings import ServeSettings
from serving.tokens import add_token

PIECE = 1 << 18


def bare_rate(clip: Path, request: Wanted, runtime: Runtime) -> tuple[float, str]:
    """Frames a second of the bare chain, and their size."""
    begun, frames, size = time.perf_counter(), 0, ""
    with Chain(stages_of(request.steps()), runtime) as chain:
        for outcome in chain.run(media.read_clip(clip, Tally())):
            frames += 1
            size = f"{outcome.image.shape[1]}x{outcome.image.shape[0]}"
    return frames / (time.perf_counter() - begun), size


def live_rate(clip: Path, port: int, token: str, task: str) -> float:
    """Frames a second of live video, from asking for the first one; each must have all its pictures."""
    shows = {"hide": {"regions": [REGION]}} if task == INPAINTING.task else {"locate": {"faces": "largest"}}
    content = clip.read_bytes()
    headers = {"authorization": f"Bearer {token}"}
    with connect(f"ws://127.0.0.1:{port}/v1/live", additional_headers=headers, compression=None) as socket:
        socket.send(json.dumps({"type": "begin", "task": task, "bytes": len(content), **shows}))
        for at in range(0, len(content), PIECE):
            socket.send(content[at : at + PIECE])
        begun, frames = time.perf_counter(), 0
        socket.send(json.dumps({"type": "want", "frames": MOST_ASKED}))
        while isinstance(message := socket.recv(), bytes):
            length = int.from_bytes(message[:4], "big")
            head = json.loads(message[4 : 4 + length])
            if head["number"] != frames or len(message) != 4 + length + sum(head["pictures"]):
                raise FaceReconError(f"frame {frames} came as {head['number']}, or without its pictures")
            frames += 1
            socket.send(json.dumps({"type": "want"}))
        if json.loads(message)["type"] != "end":
            raise FaceReconError(f"the service refused the clip: {message}")
        return frames / (time.perf_counter() - begun)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    network = Model(args.model.read_bytes(), args.model.name)
    task, token = Predictor.load(network.content).about.task, add_token("benchmark")
    request: Wanted
    if task == LANDMARKS.task:
        request, named = MeasurementRequest(network, faces="largest"), {"landmarks_model": str(args.model)}
        create_experiment()  # an empty registry, in which the model of inpainting is waited for
    else:
        request, named = Request(network, regions=(REGION,)), {"model": str(args.model)}
    settings = ServeSettings(**named, port=0, workers=1)
    runtime = Runtime(settings.threads, {network.digest: network.content})
    with runtime, started("--service", settings.model_dump_json()) as service:
        assert service.stdout is not None
        port = int(service.stdout.readline().partition("/open")[0].rpartition(":")[2])
        _, size = bare_rate(args.clip, request, runtime)
        live_rate(args.clip, port, token, task)
        rounds = [
            (bare_rate(args.clip, request, runtime)[0], live_rate(args.clip, port, token, task))
            for _ in range(args.rounds)
        ]
    return {
        "size": size,
        "bare": median(bare for bare, _ in rounds),
        "live": median(live for _, live in rounds),
        "ratio": median(live / bare for bare, live in rounds),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=Path("outputs/demo/model.onnx"))
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FACERECON_CUSTODY"], os.environ["FACERECON_STATE"] = f"{folder}/custody", f"{folder}/state"
        Path(f"{folder}/state").mkdir()
        found = measure(args)
    print(
        f"{found['ratio']:.2f} of the bare chain's frames/s (bar: 0.8); {found['live']:.1f} frames/s live and "
        f"{found['bare']:.1f} bare at {found['size']} (aim at 480x270: 25 live); load {found['load']:.1f}"
    )


if __name__ == "__main__":
    as_command(main)
