"""The service beside the bare chain: images a second, CPU an answer, what it does with twice its capacity, memory.

From the project's root: ``python -m benchmarks.serving --model outputs/demo/model.onnx --photos data/sample``. Both
sides make whole signed reconstructions of the same photos with as many threads, each in a process of its own, and take
turns. The client runs on the same machine: its CPU is told, too. Writes JSON.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from threading import Thread
from typing import Any

import numpy as np
import psutil

from benchmarks.command import as_command, write_result
from facerecon.errors import FaceReconError
from facerecon.machine import cpu_model
from serving.settings import ServeSettings
from serving.tokens import add_token

REGION = "lower-face"
MOST_PHOTOS = 32
BOUNDARY = "facerecon"
MOST_IDLE = 2.0
"""Seconds after which a connection is not used again."""


def photos_of(folder: Path) -> list[bytes]:
    """Some photos of a folder."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))
    if not found:
        raise FaceReconError(f"{folder}: holds no .jpg and no .png: give a folder of photos by --photos")
    step = max(1, len(found) // MOST_PHOTOS)
    return [path.read_bytes() for path in found[::step][:MOST_PHOTOS]]


def run_bare(model: Path, folder: Path, threads: int) -> None:
    """The bare chain, in a process of its own: for each line with seconds a line with what was made meanwhile."""
    from facerecon.files import sha256_bytes
    from facerecon.inference import media
    from facerecon.inference.making import Model, Request, maker
    from facerecon.inference.stage import Runtime
    from ops.using import software

    photos, network = photos_of(folder), Model(model.read_bytes(), model.name)
    request = Request(network, regions=(REGION,), software=software())
    runtimes = [Runtime(1, {network.digest: network.content}) for _ in range(threads)]

    def work(number: int, until: float, made: list[int]) -> None:
        count = 0
        while time.monotonic() < until:
            photo = photos[(number + count * threads) % len(photos)]
            with maker(request, runtimes[number]) as making:
                making.photo(media.decode_photo(photo, "photo"), sha256_bytes(photo), None, "photo").log()
            count += 1
        made[number] = count

    print("ready", flush=True)
    for line in sys.stdin:
        made, cpu, begun = [0] * threads, time.process_time(), time.monotonic()
        ways = [Thread(target=work, args=(number, begun + float(line), made)) for number in range(threads)]
        for way in ways:
            way.start()
        for way in ways:
            way.join()
        seconds = time.monotonic() - begun
        print(json.dumps({"made": sum(made), "seconds": seconds, "cpu": time.process_time() - cpu}), flush=True)


def run_service(settings: str) -> None:
    """The service, in a process of its own."""
    from serving.server import serve

    serve(ServeSettings.model_validate_json(settings), lambda link: print(link, flush=True))


class Client:
    """Asks for reconstructions of photos over as many connections as are needed."""

    def __init__(self, port: int, token: str, photos: list[bytes]) -> None:
        self._port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter, float]] = []
        self._requests = [_request(token, photo) for photo in photos]
        self._next = 0

    async def ask(self) -> tuple[int, float]:
        """Status and seconds of one request."""
        request = self._requests[self._next % len(self._requests)]
        self._next += 1
        begun = time.perf_counter()
        reader, writer = await self._connection()
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split(maxsplit=1)[0]))
        self._free.append((reader, writer, time.monotonic()))
        return int(head.split(maxsplit=2)[1]), time.perf_counter() - begun

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A free connection, else a new one. Those that lay idle for long are closed: the service does so at 5 s."""
        while self._free:
            reader, writer, since = self._free.pop()
            if time.monotonic() - since < MOST_IDLE:
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 24)

    async def for_seconds(self, seconds: float, connections: int) -> dict[str, float]:
        """Each connection asks as soon as it is answered."""
        until, latencies = time.monotonic() + seconds, list[float]()

        async def one() -> None:
            while time.monotonic() < until:
                status, latency = await self.ask()
                if status != 200:
                    raise FaceReconError(f"the service answered {status}: see that every photo shows a face")
                latencies.append(latency)

        begun = time.monotonic()
        await asyncio.gather(*(one() for _ in range(connections)))
        return {"made": len(latencies), "seconds": time.monotonic() - begun, "median": median(latencies)}

    async def at_rate(self, rate: float, seconds: float) -> list[tuple[int, float]]:
        """Statuses and latencies where so many requests a second come, whatever becomes of those before."""
        asked, begun = [], time.monotonic()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            asked.append(asyncio.create_task(self.ask()))
        return list(await asyncio.gather(*asked))


def _request(token: str, photo: bytes) -> bytes:
    fields = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="regions"\r\n\r\n{REGION}\r\n'
    file = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="photo"; filename="a"\r\n\r\n'
    body = fields.encode() + file.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST /v1/reconstructions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """This module in a process of its own, which has said its first line."""
    command = [sys.executable, "-m", "benchmarks.serving", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(process: psutil.Process) -> float:
    """Of a process so far."""
    times = process.cpu_times()
    return float(times.user + times.system)


def pss_gb(process: psutil.Process) -> float:
    """The proportional memory of a process and all below it."""
    tree = [process, *process.children(recursive=True)]
    return sum(each.memory_full_info().pss for each in tree) / 1e9


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    photos = photos_of(args.photos)
    settings = ServeSettings(model=str(args.model), port=0, workers=args.threads)
    token = add_token("benchmark")
    bare_arguments = [
        "--bare",
        "--model",
        str(args.model),
        "--photos",
        str(args.photos),
        "--threads",
        str(args.threads),
    ]
    with started(*bare_arguments) as bare, started("--service", settings.model_dump_json()) as service:
        assert bare.stdin is not None
        assert bare.stdout is not None
        assert service.stdout is not None
        to_bare, from_bare = bare.stdin, bare.stdout
        from_bare.readline()
        port = int(service.stdout.readline().partition("/open")[0].rpartition(":")[2])
        client, process = Client(port, token, photos), psutil.Process(service.pid)
        rows = []

        def of_bare(seconds: float) -> dict[str, float]:
            to_bare.write(f"{seconds}\n")
            to_bare.flush()
            return dict(json.loads(from_bare.readline()))

        async def of_service(seconds: float) -> dict[str, float]:
            cpu, own = cpu_seconds(process), time.process_time()
            found = await client.for_seconds(seconds, args.threads)
            return found | {"cpu": cpu_seconds(process) - cpu, "client_cpu": time.process_time() - own}

        async def all_of_it() -> dict[str, Any]:
            of_bare(1)
            await of_service(1)
            for _ in range(args.rounds):
                rows.append({"side": "bare"} | of_bare(args.seconds))
                rows.append({"side": "service"} | await of_service(args.seconds))
            unloaded = (await client.for_seconds(args.seconds, 1))["median"]
            capacity = _rate(rows, "service")
            overload = _overload(await client.at_rate(2 * capacity, args.overload), args.overload, capacity, unloaded)
            return {"rows": rows, "unloaded_median": unloaded, "overload": overload}

        found = asyncio.run(all_of_it())
        memory, torch = pss_gb(process), "libtorch" in Path(f"/proc/{service.pid}/maps").read_text()
    places = 1 + settings.queue / settings.workers
    overload = found["overload"]
    bars = {
        "images/s over bare (>= 0.85)": _rate(rows, "service") / _rate(rows, "bare"),
        "CPU an answer over bare (<= 1.15)": _cpu(rows, "service") / _cpu(rows, "bare"),
        "answered at 2x over capacity (>= 0.9)": overload["answered"],
        "statuses other than 200 and 503 (0)": overload["other"],
        "503 median over 200 median (<= 0.1)": overload["refused_median"] / overload["made_median"],
        "p99 over unloaded median and places (<= 2)": overload["made_p99"] / found["unloaded_median"] / places,
        "PSS of the tree in GB (< 0.7)": memory,
        "torch loaded (0)": int(torch),
    }
    about = {"processor": cpu_model(), "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    return {"machine": about, "threads": args.threads, "queue": settings.queue, "bars": bars, **found}


def _rate(rows: list[dict[str, Any]], side: str) -> float:
    mine = [row for row in rows if row["side"] == side]
    return float(sum(row["made"] for row in mine) / sum(row["seconds"] for row in mine))


def _cpu(rows: list[dict[str, Any]], side: str) -> float:
    mine = [row for row in rows if row["side"] == side]
    return float(sum(row["cpu"] for row in mine) / sum(row["made"] for row in mine))


def _overload(answers: list[tuple[int, float]], seconds: float, capacity: float, unloaded: float) -> dict[str, float]:
    made = [latency for status, latency in answers if status == 200]
    refused = [latency for status, latency in answers if status == 503] or [float("nan")]
    return {
        "asked": len(answers),
        "made": len(made),
        "answered": len(made) / seconds / capacity,
        "other": sum(status not in (200, 503) for status, _ in answers),
        "made_median": median(made),
        "made_p99": float(np.quantile(made, 0.99)),
        "refused_median": median(refused),
        "capacity": capacity,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", type=Path, default=Path("outputs/demo/model.onnx"))
    parser.add_argument("--photos", type=Path, default=Path("data/sample"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each side in each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--overload", type=float, default=30.0, help="seconds of twice the capacity")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/serving.json"))
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--service", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bare:
        run_bare(args.model, args.photos, args.threads)
    elif args.service:
        run_service(args.service)
    else:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["FACERECON_CUSTODY"], os.environ["FACERECON_STATE"] = f"{folder}/custody", f"{folder}/state"
            result = measure(args)
        write_result(args.out, result)
        for name, value in result["bars"].items():
            print(f"{value:8.3f}  {name}")


if __name__ == "__main__":
    as_command(main)
