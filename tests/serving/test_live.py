"""Live video: what comes back for a clip, frame by frame, and what is said of one that cannot be shown."""

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from facerecon.data.geometry import Square
from facerecon.images import read_rgb
from facerecon.marks import is_marked_picture
from serving.settings import ServeSettings
from serving.tokens import add_token, revoke_token
from tests.serving.client import Running, serving

HIDE = {"regions": ["lower-face"], "faces": "largest"}


def clip_of(pictures: list[np.ndarray], rate: int = 10) -> bytes:
    """An MP4 of these pictures."""
    stream = BytesIO()
    with av.open(stream, "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return stream.getvalue()


@pytest.fixture(scope="module")
def clip(photo: bytes) -> bytes:
    """Eight frames in which the drawn face moves to the right, 3 px each."""
    image = read_rgb(photo)
    return clip_of([np.roll(image, 3 * number, axis=1) for number in range(8)])


class Live:
    """A client of live video."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def put(self, message: str | bytes) -> None:
        """Send a message. The service may have refused an earlier one and closed the socket: its answers tell."""
        with suppress(ConnectionClosed):
            self.socket.send(message)

    def send(self, kind: str, **more: object) -> None:
        self.put(json.dumps({"type": kind, **more}))

    def load(self, content: bytes, hide: Mapping[str, object] = HIDE) -> None:
        self.begin(content, hide=hide)

    def begin(self, content: bytes, **shows: object) -> None:
        self.send("begin", bytes=len(content), **shows)
        for begin in range(0, len(content), 1 << 18):
            self.put(content[begin : begin + (1 << 18)])

    def answer(self) -> tuple[dict[str, Any], bytes]:
        """A message's head, and what follows it."""
        message = self.socket.recv(timeout=30)
        if isinstance(message, str):
            return json.loads(message), b""
        length = int.from_bytes(message[:4], "big")
        return json.loads(message[4 : 4 + length]), message[4 + length :]

    def frame(self) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """A frame's head and its two pictures."""
        head, rest = self.answer()
        assert head["type"] == "frame", head
        first, second = head["pictures"]
        assert len(rest) == first + second
        assert is_marked_picture(rest[first:])
        return head, read_rgb(rest[:first]), read_rgb(rest[first:])

    def located(self) -> tuple[dict[str, Any], np.ndarray]:
        """The head of a frame with points, and the frame."""
        head, rest = self.answer()
        assert head["type"] == "located", head
        assert head["pictures"] == [len(rest)]
        return head, read_rgb(rest)

    def refused(self) -> str:
        """The line with which the socket is closed."""
        head, _ = self.answer()
        assert head["type"] == "refused", head
        with pytest.raises(ConnectionClosed) as raised:
            self.socket.recv(timeout=30)
        close = raised.value.rcvd
        assert close is not None
        assert close.code >= 1001
        assert head["detail"].startswith(close.reason)
        return str(head["detail"])

    def is_quiet(self, seconds: float = 0.4) -> bool:
        """Whether nothing comes."""
        try:
            self.socket.recv(timeout=seconds)
        except TimeoutError:
            return True
        return False


@contextmanager
def live(service: Running, headers: Mapping[str, str] | None = None) -> Iterator[Live]:
    uri = f"ws://127.0.0.1:{service.port}/v1/live"
    with connect(uri, additional_headers=service.mine if headers is None else headers, compression=None) as socket:
        yield Live(socket)


def test_each_frame_comes_once_in_order_with_its_points_and_pictures(service: Running, clip: bytes) -> None:
    lefts = []
    with live(service) as client:
        client.load(clip)
        client.send("want", frames=2)
        for number in range(8):
            client.send("want")
            head, frame, made = client.frame()
            assert (head["number"], head["width"], head["height"]) == (number, 256, 256)
            assert head["time"] == pytest.approx(number / 10, abs=1e-6)
            (face,) = head["faces"]
            assert len(face["landmarks68"]) == 68
            lefts.append(np.mean(face["landmarks68"], axis=0)[0])
            assert frame.shape == made.shape == (256, 256, 3)
            mouth = np.mean(face["landmarks68"][48:], axis=0).round().astype(int)
            apart = np.abs(frame.astype(int) - made).max(-1)
            assert apart[mouth[1] - 8 : mouth[1] + 8, mouth[0] - 8 : mouth[0] + 8].max() > 30
            # the rest is the same but for the encoding
            assert np.median(apart) <= 2
        assert client.answer()[0] == {"type": "end", "frames": 8, "broken": 0, "passed_over": 0}
    # the points are those of this very frame
    assert np.diff(lefts) == pytest.approx([3] * 7, abs=1.5)


def test_no_more_is_made_than_was_asked_for(service: Running, clip: bytes) -> None:
    with live(service) as client:
        client.load(clip)
        assert client.is_quiet()
        client.send("want", frames=2)
        assert [client.frame()[0]["number"] for _ in range(2)] == [0, 1]
        assert client.is_quiet()
        client.send("want")
        assert client.frame()[0]["number"] == 2
        client.send("want", frames=3)
        client.send("want", frames=3)
        while (head := client.answer()[0])["type"] == "frame":
            pass
        assert "more than 3 frames were asked for at once" in head["detail"]


def test_a_region_changes_while_it_plays_and_the_last_frame_can_be_made_anew(service: Running, clip: bytes) -> None:
    with live(service) as client:
        client.load(clip)
        client.send("want")
        before, frame, made = client.frame()
        client.send("want")
        assert client.frame()[0]["number"] == 1
        client.send("hide", id=7, regions=["eyes"], faces="all")
        client.send("again", number=0)
        again, same, other = client.frame()
        assert (before["number"], before["regions"], before["hide"]) == (0, ["lower-face"], 0)
        assert (again["number"], again["regions"], again["hide"]) == (0, ["eyes"], 7)
        assert (frame == same).all()
        assert (made != other).any()
        client.send("hide", regions=["ears"])
        assert "region 'ears' is not known" in client.answer()[0]["detail"]
        client.send("want")
        assert client.frame()[0]["number"] == 2
        for _ in range(3):
            client.send("want")
            client.frame()
        client.send("again", number=0)
        assert client.answer()[0] == {"type": "told", "detail": "frame 1 is not held any more"}
        assert client.is_quiet(0.05)


def test_what_is_saved_is_whole_and_marked(service: Running, clip: bytes) -> None:
    with live(service) as client:
        client.load(clip)
        client.send("want", frames=2)
        client.frame(), client.frame()
        client.send("save", number=1)
        head, content = client.answer()
    assert head == {"type": "saved", "name": "reconstructed-frame-00002.png"}
    assert is_marked_picture(content)
    with Image.open(BytesIO(content)) as picture:
        assert picture.width >= 2 * 256


def test_points_and_depth_come_by_the_network_and_by_mediapipe(service: Running, clip: bytes) -> None:
    lefts = []
    with live(service) as client:
        client.begin(clip, task="landmarks", locate={"faces": "largest"})
        for number in range(8):
            client.send("want")
            head, frame = client.located()
            assert (head["number"], head["width"], head["height"], head["model"]) == (number, 256, 256, "mean.onnx")
            (face,) = head["faces"]
            network, mediapipe = (np.array(face[source]["points"]) for source in ("network", "mediapipe"))
            assert network.shape == mediapipe.shape == (68, 3)
            assert (len(face["network"]["confidence"]), face["mediapipe"]["confidence"]) == (68, None)
            # in the clip's pixels both see the same face, whose nose is nearer than its ears
            across = np.ptp(mediapipe[:, 0])
            assert np.linalg.norm((network - mediapipe)[:, :2], axis=1).mean() < 0.15 * across
            assert min(points[30, 2] - points[[0, 16], 2].max() for points in (network, mediapipe)) > 0.1 * across
            # the end of the jaw that is turned away is hidden behind the cheek, and no depth is told of it
            assert np.abs(mediapipe[27:, 2]).max() < 1.1 * head["reach"] < 4 * across
            lefts.append(mediapipe[:, 0].mean())
            assert frame.shape == (256, 256, 3)
            for source, points in (("network", network), ("mediapipe", mediapipe)):
                depth = face[source]["depth"]
                side = depth["side"]
                levels = np.frombuffer(base64.b64decode(depth["levels"]), np.uint8).reshape(side, side)
                square = Square(np.array(depth["corner"], np.float32), np.array(depth["edge"], np.float32))
                column, row = square.to_crop(points[:, :2].mean(axis=0, keepdims=True), side)[0].astype(int)
                assert levels[row, column] > 0
                area = (levels > 0).mean() * square.side**2
                assert area == pytest.approx(np.prod(np.ptp(points[:, :2], axis=0)), rel=0.5)
        client.send("want")
        assert client.answer()[0]["type"] == "end"
    assert np.diff(lefts) == pytest.approx([3] * 7, abs=1.5)


def test_a_clip_is_restored_live_and_a_frame_of_it_is_saved(service: Running, clip: bytes) -> None:
    with live(service) as client:
        client.begin(clip, task="restoration", restore={"id": 4, "faces": "all"})
        for number in range(8):
            client.send("want")
            head, rest = client.answer()
            assert (head["type"], head["number"], head["restore"]) == ("restored", number, 4)
            assert head["model"] == "small.onnx"
            first, second = head["pictures"]
            assert len(rest) == first + second
            assert is_marked_picture(rest[first:])
            frame, made = read_rgb(rest[:first]), read_rgb(rest[first:])
            left, top, right, bottom = np.array(head["faces"][0]["box"]).round().astype(int)
            apart = np.abs(frame.astype(int) - made).max(-1)
            assert np.median(apart[top:bottom, left:right]) > 3 * max(np.median(apart), 1), "the face and nothing else"
        client.send("save", number=7)
        saved, content = client.answer()
        assert saved == {"type": "saved", "name": "restored-frame-00008.png"}
        assert is_marked_picture(content)
        client.send("hide", **HIDE)
        client.send("again", number=7)
        assert client.frame()[0]["regions"] == ["lower-face"]


def test_what_is_shown_changes_while_it_plays(service: Running, clip: bytes) -> None:
    with live(service) as client:
        client.load(clip)
        client.send("want")
        client.frame()
        client.send("locate", id=5, faces="all")
        client.send("again", number=0)
        head, _ = client.located()
        assert (head["number"], head["locate"]) == (0, 5)
        client.send("want")
        assert client.located()[0]["number"] == 1
        client.send("save", number=1)
        saved, content = client.answer()
        assert saved == {"type": "saved", "name": "measured-frame-00002.png"}
        assert is_marked_picture(content)
        assert read_rgb(content).shape[0] > 2 * 256
        client.send("hide", id=6, regions=["eyes"])
        client.send("want")
        assert client.frame()[0]["hide"] == 6


def test_where_mediapipe_sees_nothing_the_network_may(service: Running, photo: bytes) -> None:
    dark, rng = np.full((240, 320, 3), 66.0), np.random.default_rng(0)
    dark[60:124, 60:124] = 0.6 * np.asarray(Image.fromarray(read_rgb(photo)).resize((64, 64), Image.Resampling.BOX))
    noisy = (dark + rng.normal(0, 18, dark.shape) for _ in range(6))
    poor = [picture.clip(0, 255).round().astype(np.uint8) for picture in noisy]
    with live(service) as client:
        client.begin(clip_of(poor), task="landmarks")
        faces = []
        for _ in poor:
            client.send("want")
            faces += client.located()[0]["faces"]
    assert any(face["network"] and not face["mediapipe"] for face in faces)


def test_a_clip_without_a_face_says_so_with_each_frame(service: Running) -> None:
    with live(service) as client:
        client.load(clip_of([np.full((64, 64, 3), 200, np.uint8)] * 2))
        client.send("want", frames=3)
        for _ in range(2):
            head, frame, made = client.frame()
            assert (head["faces"], head["remarks"]) == ([], ["no face was found"])
            assert (frame == made).all()
        assert client.answer()[0]["type"] == "end"


def test_a_clip_that_cannot_be_shown_ends_the_socket_with_a_line_and_nothing_else(
    service: Running, clip: bytes, photo: bytes
) -> None:
    for content, said in (
        (b"this is text named clip.mp4\n" * 50, "clip: cannot be decoded"),
        (clip[: len(clip) // 3], "clip: "),
        (photo, "clip: no clip: its content is"),
    ):
        with live(service) as client:
            client.load(content)
            client.send("want")
            detail = client.refused()
            assert said in detail
            assert "/dev/fd" not in detail
    with live(service) as client:
        client.send("begin", bytes=6_000_000, hide=HIDE)
        assert "6.0 MB, at most 5" in client.refused()
    with live(service) as client:
        client.send("begin", bytes=10, hide=HIDE)
        client.put(b"x" * 11)
        assert "more was sent" in client.refused()
    with live(service) as client:
        client.send("begin", bytes=10, hide=HIDE)
        client.put("http://example.org/clip.mp4")
        assert "an address is never fetched" in client.refused()
    with live(service) as client:
        client.load(clip, {"regions": ["ears"]})
        assert "region 'ears' is not known" in client.refused()
    for shows, said in (
        ({}, "hide: inpainting needs what is to be hidden"),
        ({"task": "landmarks", "hide": HIDE}, "hide: say task=inpainting"),
        ({"task": "restoration", "hide": HIDE}, "hide: say task=inpainting"),
        ({"hide": HIDE, "restore": {}}, "restore: say task=restoration"),
        ({"hide": HIDE, "locate": {}}, "locate: say task=landmarks"),
    ):
        with live(service) as client:
            client.begin(clip, **shows)
            assert said in client.refused()
    for text in ("{", '{"type": "begin"}', '{"type": "want"}', "[]"):
        with live(service) as client:
            client.put(text)
            assert client.refused()
    with live(service) as client:
        client.put(b"\x00\x01")
        assert "bytes were sent" in client.refused()
    with live(service) as client:
        client.load(clip)
        client.send("want")
        assert client.frame()[0]["number"] == 0


def test_only_who_may_gets_a_socket(service: Running) -> None:
    for headers in ({}, {"authorization": "Bearer no"}, service.mine | {"origin": "http://example.org"}):
        with pytest.raises(InvalidStatus) as raised, live(service, headers):
            pass
        assert raised.value.response.status_code == 403


def test_a_revoked_token_ends_what_it_has_begun(service: Running, clip: bytes) -> None:
    token = add_token("bob")
    with live(service, {"authorization": f"Bearer {token}"}) as client:
        client.load(clip)
        client.send("want")
        client.frame()
        revoke_token("bob")
        client.send("want")
        assert "revoked" in client.refused()


def open_files() -> int:
    """Of this process, those that have no name any more: the uploads."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            found += str(each.readlink()).endswith("(deleted)")
        except OSError:
            continue
    return found


def await_that(what: Any) -> None:
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def live_threads() -> int:
    return sum(thread.name.startswith("live") for thread in threading.enumerate())


def test_a_client_that_goes_ends_its_work_and_leaves_nothing(service: Running, clip: bytes) -> None:
    before = open_files()
    with live(service) as client:
        client.load(clip)
        client.send("want", frames=3)
        client.frame()
        assert live_threads() == 1
        assert open_files() > before
        client.socket.socket.close()
    await_that(lambda: live_threads() == 0 and open_files() == before)
    with live(service) as client:
        client.send("begin", bytes=1000, hide=HIDE)
        client.put(b"x" * 500)
    await_that(lambda: open_files() == before)


def test_a_bounded_number_of_clips_is_shown_at_once(settings: ServeSettings, token: str, clip: bytes) -> None:
    with serving(settings.model_copy(update={"streams": 1}), token) as service:
        with live(service) as first:
            first.load(clip)
            first.send("want")
            first.frame()
            with live(service) as second:
                assert "no more clips than 1" in second.refused()
        await_that(lambda: live_threads() == 0)
        with live(service) as third:
            third.load(clip)
            third.send("want")
            third.frame()


def test_a_service_that_is_about_to_end_says_so(settings: ServeSettings, token: str, clip: bytes) -> None:
    # a service of its own, which a request holds up: it ends once it drains
    with serving(settings, token) as service, service.service.pool.place(), live(service) as client:
        client.load(clip)
        client.send("want")
        client.frame()
        service.service.pool.draining = True
        client.send("want")
        assert "about to end" in client.refused()
