"""Running the service: one process, which ends in order."""

import asyncio
import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from types import FrameType

import uvicorn

from facerecon.errors import FaceReconError
from ops.using import is_file, login_name, model_in_use, software
from serving.access import Access
from serving.app import make_app
from serving.jobs import Jobs
from serving.metrics import Metrics
from serving.pool import Pool
from serving.served import Served
from serving.service import Service
from serving.settings import OPTIONS, ServeSettings
from serving.tokens import read_tokens
from serving.worker import VideoWorker

_TICK = 0.05


def serve(settings: ServeSettings, told: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; ``told`` is called with the one-time link once requests are taken.

    Raises:
        FaceReconError: the address cannot be had, no token exists where one must, or there is no model.
    """
    if not settings.is_loopback and not read_tokens():
        raise FaceReconError(
            f"{settings.host} can be reached from other machines, and there is no token yet: make one with `facerecon "
            "token add NAME`, then start again"
        )
    listener = listen(settings)
    with listener, running(settings) as service:
        port = listener.getsockname()[1]
        service.access.cookie += f"-{port}"
        server = Server(service)
        server.opened = lambda: told(f"http://{_shown(settings.host)}:{port}/open?code={service.access.code}")
        server.run([listener])


def listen(settings: ServeSettings) -> socket.socket:
    """A socket that listens at the address.

    Raises:
        FaceReconError: it cannot be had.
    """
    try:
        kind, *_, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=kind, backlog=256)
    except OSError as error:
        raise FaceReconError(
            f"{settings.host} port {settings.port} cannot be had ({error.strerror or error}): choose another by --port"
        ) from error


@contextmanager
def running(settings: ServeSettings) -> Iterator[Service]:
    """A service whose threads run."""
    named = [model for model in settings.models.values() if model is not None]
    # nothing of a registry is meant where files alone are named
    follows = not (named and all(map(is_file, named)))
    served = tuple(
        _served(task, model, settings) for task, model in settings.models.items() if follows or model is not None
    )
    if not any(each.loaded for each in served):
        model_in_use(None)  # says why there is none
    pool, stop = Pool(settings.workers, settings.queue), Event()
    access = Access(login_name(), settings.session_hours * 3600)
    for each in served:
        if not each.is_file:
            Thread(target=each.follow, args=(stop, settings.follow_seconds), name="follow", daemon=True).start()
    jobs = Jobs(settings.keep_hours * 3600, settings.lease_seconds)
    videos = VideoWorker(jobs, served, software(), settings.lease_seconds)
    videos.start()
    try:
        yield Service(settings, served, pool, access, Metrics(), software(), jobs, videos)
    finally:
        stop.set()
        videos.close()
        pool.close()
        for each in served:
            each.close()


def _served(task: str, model: str | None, settings: ServeSettings) -> Served:
    """The ``model`` of a task that is named, else its champion.

    Raises:
        FaceReconError: what is named is not there, or several could be meant.
    """
    try:
        return Served(model, settings.threads, settings.workers, task)
    except FaceReconError as error:
        if model is None:
            raise
        raise FaceReconError(f"{OPTIONS[task]}: {error.message}") from error


class Server(uvicorn.Server):
    """uvicorn that, told to end, first says that it is not ready, and goes on until nothing is being made."""

    def __init__(self, service: Service) -> None:
        config = uvicorn.Config(
            make_app(service),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
            ws_max_size=1 << 20,
            # JPEGs do not get smaller
            ws_per_message_deflate=False,
        )
        super().__init__(config)
        self._pool, self._videos, self._drain_seconds = service.pool, service.videos, service.settings.drain_seconds
        self._draining: asyncio.Task[None] | None = None
        self.opened: Callable[[], None] = lambda: None
        """Called once requests are taken."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets)
        self.opened()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A first signal drains, a second one ends at once; uvicorn would raise it again at the end."""
        if self._pool.draining:
            self.should_exit = self.force_exit = True
            return
        self._pool.draining = True
        self._videos.stop()
        logging.getLogger(__name__).warning("%s: no request is taken any more", signal.Signals(sig).name)

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn's, ten times a second."""
        if self._pool.draining and self._draining is None:
            self._draining = asyncio.create_task(self._drain())
        return await super().on_tick(counter)

    async def _drain(self) -> None:
        until = asyncio.get_running_loop().time() + self._drain_seconds
        while self._pool.held and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(_TICK)
        self.should_exit = True


def _shown(host: str) -> str:
    """A host as addresses have it; one that stands for all of a machine's is shown as its name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if address.version == 6 else host
