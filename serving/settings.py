"""What a service is started with."""

import ipaddress
import os

from pydantic import Field

from facerecon.contract import INPAINTING, LANDMARKS, RESTORATION
from facerecon.settings import Settings

OPTIONS = {INPAINTING.task: "--model", RESTORATION.task: "--restore-model", LANDMARKS.task: "--landmarks-model"}
"""The options of `facerecon serve` that name the models, by task."""


class ServeSettings(Settings):
    """``names`` are host names under which it is reached beside its address. ``workers`` photos are made at once, each
    by a network of ``threads`` threads, and ``queue`` more wait. Bodies are in MB (10^6 bytes), pictures in megapixels.
    """

    model: str | None = Field(None, description="as `facerecon reconstruct --model` takes it; None: the one champion")
    restore_model: str | None = Field(
        None,
        description="as `facerecon restore --model` takes it; None: the one champion of restoration, once there is one",
    )
    landmarks_model: str | None = Field(
        None,
        description="as `facerecon landmarks --model` takes it; None: the one champion of landmarks, once there is one",
    )
    host: str = "127.0.0.1"
    port: int = Field(8100, ge=0, le=65535)
    names: tuple[str, ...] = ()
    workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    threads: int = Field(1, ge=1, le=256)
    queue: int = Field(16, ge=0, le=10_000)
    streams: int = Field(2, ge=0, le=64, description="so many clips are shown live at once")
    photo_mb: float = Field(25, gt=0)
    megapixels: float = Field(25, gt=0, le=100)
    video_mb: float = Field(500, gt=0)
    keep_hours: float = Field(24, gt=0, description="so long a video, its upload and its result are kept")
    upload_seconds: float = Field(
        60, gt=0, description="so long an upload may take: a photo's; a video's ten times that"
    )
    follow_seconds: float = Field(3, gt=0, description="so often the registry is asked for the champion")
    drain_seconds: float = Field(30, ge=0, description="so long SIGTERM waits for what is being made")
    session_hours: float = Field(12, gt=0)
    lease_seconds: float = Field(
        30, gt=0, description="so long after its last sign a dead worker's video is taken again"
    )

    @property
    def models(self) -> dict[str, str | None]:
        """What is named, by task."""
        return {INPAINTING.task: self.model, RESTORATION.task: self.restore_model, LANDMARKS.task: self.landmarks_model}

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def most_pixels(self) -> int:
        """Of a picture."""
        return int(self.megapixels * 1e6)
