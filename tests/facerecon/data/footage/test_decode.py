"""Clips become frames: at the rate that is asked for, with their times, upright; what is broken does no harm."""

import os
import struct
import weakref
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from facerecon.data.footage import decode
from facerecon.data.footage.decode import Frame, Tally, UnusableClipError, clip_digest, read_frames
from facerecon.data.quarantine import Code
from facerecon.data.settings import FootageSettings
from facerecon.images import encode_png

Image = NDArray[np.uint8]
Film = Callable[..., Path]


def gray(level: int) -> Image:
    return np.full((48, 64, 3), level, np.uint8)


def ramp(count: int) -> list[Image]:
    """Frames that grow brighter: their order can be seen."""
    return [gray(20 + 200 * number // count) for number in range(count)]


def read(clip: Path, rate: float = 240, folder_rate: float = 25) -> tuple[list[Frame], Tally]:
    tally = Tally()
    return list(read_frames(clip, FootageSettings(frames_per_second=rate, folder_rate=folder_rate), tally)), tally


def times(frames: list[Frame]) -> list[float]:
    return [round(frame.time, 3) for frame in frames]


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".mov", ".gif", ".webm", ".m4v"])
def test_every_format(tmp_path: Path, film: Film, suffix: str) -> None:
    frames, tally = read(film(tmp_path / f"clip{suffix}", ramp(10)))
    assert [frame.number for frame in frames] == list(range(10))
    assert times(frames) == pytest.approx([0.2 * number for number in range(10)], abs=0.01)
    assert all(frame.image.shape == (48, 64, 3) and frame.image.dtype == np.uint8 for frame in frames)
    brightness = [frame.image.mean() for frame in frames]
    np.testing.assert_allclose(brightness, [image.mean() for image in ramp(10)], atol=20)
    assert brightness == sorted(brightness)
    assert tally == Tally(decoded=10, sampled=10, broken=0)


TOLD_BY_CONTENT = (
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".m2v", ".wmv", ".asf", ".flv", ".3gp", ".3g2", ".ogv"),
    *(".h264", ".264", ".h265"),
)


@pytest.mark.parametrize("suffix", TOLD_BY_CONTENT)
@pytest.mark.parametrize("name", ["as it is", "clip", "clip.mp4", "clip.dav"])
def test_every_format_whatever_it_is_named(tmp_path: Path, film: Film, suffix: str, name: str) -> None:
    clip = film(tmp_path / f"made{suffix}", ramp(10), rate=25)
    if name != "as it is":
        clip = clip.rename(tmp_path / name)
    frames, tally = read(clip)
    assert times(frames) == pytest.approx([0.04 * number for number in range(10)], abs=0.005)
    np.testing.assert_allclose([frame.image.mean() for frame in frames], [each.mean() for each in ramp(10)], atol=20)
    assert tally == Tally(decoded=10, sampled=10)


def test_what_video_recorders_write(tmp_path: Path, film: Film) -> None:
    """Dahua's own container: each frame between "DHAV" and "dhav", with a tag for its size and one for the rate."""
    chunks = []
    with av.open(str(film(tmp_path / "made.h264", ramp(10), rate=10, codec_options={"bf": "0"}))) as container:
        for number, packet in enumerate(packet for packet in container.demux(video=0) if packet.size):
            tags = struct.pack("<4BHH4B", 0x82, 0, 0, 0, 64, 48, 0x81, 0, 2, 10)
            length = 24 + len(tags) + packet.size + 8
            date = (24 << 26) | (5 << 22) | (7 << 17) | (12 << 12) | (30 << 6) | (number // 10)
            head = struct.pack("<4s4B3IHBB", b"DHAV", 0xFD, 0, 0, 0, number, length, date, number * 100, len(tags), 0)
            chunks.append(head + tags + bytes(packet) + struct.pack("<4sI", b"dhav", length))
    clip = tmp_path / "camera 3.dav"
    clip.write_bytes(b"".join(chunks))
    frames, tally = read(clip)
    assert times(frames) == pytest.approx([0.1 * number for number in range(10)])
    np.testing.assert_allclose([frame.image.mean() for frame in frames], [each.mean() for each in ramp(10)], atol=20)
    assert tally == Tally(decoded=10, sampled=10)


def test_a_picture_that_is_shown_twice_is_not_broken(
    tmp_path: Path, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Theora and AVI have empty packets for it."""
    clip = film(tmp_path / "clip.mkv", ramp(4))
    decoded = decode._decoded

    def with_empty(container: Any, *arguments: Any) -> Iterator[av.VideoFrame]:
        class Container:
            def demux(self, *streams: Any) -> Iterator[av.Packet]:
                for packet in container.demux(*streams):
                    if packet.size:
                        empty = av.Packet(0)
                        empty.pts, empty.time_base, empty.stream = packet.pts, packet.time_base, packet.stream
                        yield empty
                    yield packet

        return decoded(Container(), *arguments)

    monkeypatch.setattr(decode, "_decoded", with_empty)
    assert read(clip)[1] == Tally(decoded=4, sampled=4)


@pytest.mark.parametrize(
    ("rate", "expected"), [(5, [0, 5, 10, 15, 20]), (10, [0, 3, 5, 8, 10, 13, 15, 18, 20, 23]), (1, [0])]
)
def test_so_many_frames_a_second(tmp_path: Path, film: Film, rate: float, expected: list[int]) -> None:
    frames, tally = read(film(tmp_path / "clip.mp4", ramp(25), rate=25), rate)
    assert [frame.number for frame in frames] == expected
    assert (tally.decoded, tally.sampled) == (25, len(expected))


def test_a_variable_frame_rate_is_followed_by_the_time_stamps(tmp_path: Path, film: Film) -> None:
    stamps = [0, 0.04, 0.08, 1.0, 1.02, 1.5, 7.0]
    frames, _ = read(film(tmp_path / "clip.mkv", ramp(7), rate=25, times=stamps), 5)
    assert [frame.number for frame in frames] == [0, 3, 5, 6]
    assert times(frames) == [0, 1.0, 1.5, 7.0]


def test_time_counts_from_the_first_frame(tmp_path: Path, film: Film) -> None:
    frames, _ = read(film(tmp_path / "clip.mkv", ramp(3), rate=25, times=[60, 60.5, 61]))
    assert times(frames) == [0, 0.5, 1.0]


def joined(clip: Path, *parts: Path) -> Path:
    """Recordings one behind the other in one file, each with the stamps that it had."""
    clip.write_bytes(b"".join(part.read_bytes() for part in parts))
    return clip


def test_time_goes_on_where_its_stamps_go_back(tmp_path: Path, film: Film) -> None:
    parts = [film(tmp_path / f"{count}.ts", ramp(count)) for count in (6, 4, 5)]
    frames, tally = read(joined(tmp_path / "clip.ts", *parts))
    assert times(frames) == pytest.approx([0.2 * number for number in range(15)], abs=0.001)
    assert [frame.recording for frame in frames] == [0] * 6 + [1] * 4 + [2] * 5
    assert [frame.number for frame in frames] == list(range(15))
    assert tally == Tally(decoded=15, sampled=15, jumps=2)


def test_of_each_recording_the_first_frame_is_looked_at(tmp_path: Path, film: Film) -> None:
    part = film(tmp_path / "part.ts", ramp(5), rate=25)
    frames, tally = read(joined(tmp_path / "clip.ts", part, part), rate=1)
    assert [frame.number for frame in frames] == [0, 5]
    assert tally == Tally(decoded=10, sampled=2, passed_over=8, jumps=1)


@pytest.mark.parametrize(
    ("stamps", "expected", "jumps"),
    [
        pytest.param([0, 1, 2, 1, 2, 3], [0, 1, 2, 2.2, 3.2, 4.2], 1, id="clock set back"),
        pytest.param([5, 6, 0, 0.5, 1], [0, 1, 1.2, 1.7, 2.2], 1, id="started again"),
        pytest.param([0, 1, 3, 2, 4, 5], [0, 1, 3, 4, 5], 0, id="two frames that changed places"),
        pytest.param([0, 1, 1, 2], [0, 1, 2], 0, id="two frames at one time"),
        pytest.param([0, 1, None, None, 4], [0, 1, 1.2, 1.4, 4], 0, id="without stamps in between"),
        pytest.param([None, None, None], [0, 0.2, 0.4], 0, id="without any stamp"),
        pytest.param([0, 1, 0.5], [0, 1, 1.2], 1, id="the last one goes back"),
    ],
)
def test_stamps_and_times(
    tmp_path: Path,
    film: Film,
    monkeypatch: pytest.MonkeyPatch,
    stamps: list[float | None],
    expected: list[float],
    jumps: int,
) -> None:
    decoded = decode._decoded

    def stamped(*arguments: Any) -> Iterator[av.VideoFrame]:
        for frame, stamp in zip(decoded(*arguments), stamps, strict=True):
            frame.pts = None if stamp is None else round(stamp * 1000)
            frame.time_base, frame.duration = Fraction(1, 1000), 0
            yield frame

    monkeypatch.setattr(decode, "_decoded", stamped)
    frames, tally = read(film(tmp_path / "clip.mkv", ramp(len(stamps))))
    assert times(frames) == pytest.approx(expected)
    assert tally.jumps == jumps
    assert tally.decoded == tally.sampled + tally.passed_over == len(stamps)


@pytest.mark.parametrize("rate", [0.5, 2, 7, 240])
def test_every_frame_is_sampled_broken_or_passed_over(tmp_path: Path, film: Film, rate: float) -> None:
    clip = film(tmp_path / "clip.mov", ramp(30), codec="png", rate=10)
    content = bytearray(clip.read_bytes())
    for place, size in packets(clip)[11:14]:
        content[place : place + size] = b"\xa5" * size
    clip.write_bytes(content)
    folder = tmp_path / "clip.frames"
    folder.mkdir()
    for number, image in enumerate(ramp(30)):
        (folder / f"{number}.png").write_bytes(encode_png(image) if number % 7 else b"no image")
    for each in (clip, folder):
        frames, tally = read(each, rate, folder_rate=10)
        assert tally.decoded == 30
        assert tally.decoded == tally.sampled + tally.broken + tally.passed_over
        assert tally.sampled == len(frames) > 0
        assert tally.broken > 0


@pytest.mark.parametrize("turn", [90, 180, -90])
def test_a_turned_clip_is_set_upright(tmp_path: Path, film: Film, turn: int) -> None:
    upright = gray(60)
    upright[:16, :16] = 250
    lying = np.rot90(upright, -turn // 90)
    frames, _ = read(film(tmp_path / "clip.mp4", [lying] * 3, rotation=turn))
    assert frames[0].image.shape == upright.shape
    np.testing.assert_allclose(frames[0].image.astype(float), upright, atol=25)


ORIENTATIONS = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_all_orientations_as_the_display_matrix_says(tmp_path: Path, film: Film, matrix: tuple[int, ...]) -> None:
    lying = gray(60)
    lying[:16, :16], lying[:16, 48:], lying[32:, :16] = 250, 160, 110
    a, b, c, d = matrix
    rows, columns = np.mgrid[:48, :64]
    across, down = a * columns + c * rows, b * columns + d * rows
    shown = np.zeros((48, 64, 3) if a else (64, 48, 3), np.uint8)
    shown[down - down.min(), across - across.min()] = lying
    frames, _ = read(film(tmp_path / "clip.mp4", [lying] * 3, matrix=matrix))
    assert frames[0].image.shape == shown.shape
    np.testing.assert_allclose(frames[0].image.astype(float), shown, atol=25)


def moving(step: int) -> Image:
    """A soft blob on its way to the right, uint8 [48, 64, 3]."""
    row, column = np.mgrid[:48, :64]
    level = 60 + 150 * np.exp(-((row - 24) ** 2 + (column - 8 - 4 * step) ** 2) / 60)
    return np.repeat(level.astype(np.uint8)[..., None], 3, axis=2)


def combed(step: int) -> Image:
    """A frame of two fields, the lower one first, as FFmpeg's encoders take it if they are not told."""
    frame = moving(2 * step + 1)
    frame[1::2] = moving(2 * step)[1::2]
    return frame


def roughness(image: Image) -> float:
    """How much each line differs from those beside it."""
    gray = image[..., 0].astype(float)
    return float(np.abs(gray[1:-1] - (gray[:-2] + gray[2:]) / 2).mean())


@pytest.mark.parametrize("options", [{}, {"matrix": (-1, 0, 0, 1)}])
def test_interlaced_frames_become_whole_ones_of_their_first_field(
    tmp_path: Path, film: Film, options: dict[str, Any]
) -> None:
    frames, tally = read(film(tmp_path / "clip.mp4", [combed(step) for step in range(6)], interlaced=True, **options))
    assert tally == Tally(decoded=6, sampled=6)
    mirrored = -1 if options else 1
    for step, frame in enumerate(frames):
        assert frame.interlaced
        image = frame.image[:, ::mirrored]
        assert roughness(image) < 1 < 4 < roughness(combed(step))
        assert np.abs(image.astype(float) - moving(2 * step)).mean() < 2


def test_frames_that_are_not_interlaced_are_what_the_decoder_gave(
    tmp_path: Path, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = film(tmp_path / "clip.mkv", [combed(step) for step in range(6)])
    monkeypatch.setattr(decode, "_deinterlaced", pytest.fail)
    frames, _ = read(clip)
    with av.open(str(clip)) as container:
        given = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert all(np.array_equal(frame.image, image) for frame, image in zip(frames, given, strict=True))
    assert not any(frame.interlaced for frame in frames)


def test_deinterlacing_keeps_the_colours(tmp_path: Path) -> None:
    frame = av.VideoFrame(64, 48, "yuv420p10le")
    for plane, level in zip(frame.planes, (400, 480, 560), strict=True):
        plane.update(np.full(plane.buffer_size // 2, level, np.uint16).tobytes())
    frame.pts, frame.time_base = 0, Fraction(1, 5)
    frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = 16, 9, 9, 1
    whole = decode._deinterlaced(frame, None, None)
    assert not whole.interlaced_frame
    assert (whole.color_trc, whole.color_primaries, whole.colorspace, whole.color_range) == (16, 9, 9, 1)
    np.testing.assert_array_equal(whole.to_ndarray(format="rgb24"), frame.to_ndarray(format="rgb24"))


@pytest.mark.parametrize(
    ("pixel", "shape"), [((2, 1), (24, 64)), ((1, 2), (48, 32)), ((1, 1), (48, 64)), ((100, 1), (48, 64))]
)
def test_pixels_become_square_and_none_is_made_up(
    tmp_path: Path, film: Film, pixel: tuple[int, int], shape: tuple[int, int]
) -> None:
    frames, _ = read(film(tmp_path / "clip.mkv", ramp(2), pixel=Fraction(*pixel)))
    assert frames[0].image.shape[:2] == shape


def test_frames_are_not_gathered_in_memory(tmp_path: Path, film: Film) -> None:
    clip = film(tmp_path / "clip.mp4", ramp(60), rate=25)
    alive, most = weakref.WeakSet[object](), 0
    for frame in read_frames(clip, FootageSettings(frames_per_second=240), Tally()):
        alive.add(frame)
        most = max(most, len(alive))
    assert most <= 2


# ------------------------------------------------------------------------------------------------- folders of frames


def test_a_folder_of_frames_is_read_by_its_numbers(tmp_path: Path) -> None:
    clip = tmp_path / "door.frames"
    clip.mkdir()
    for number, image in enumerate(ramp(12)):
        (clip / f"frame {number}.png").write_bytes(encode_png(image))
    frames, tally = read(clip, rate=5, folder_rate=10)
    assert [frame.number for frame in frames] == [0, 2, 4, 6, 8, 10]
    assert times(frames) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert [frame.image[0, 0, 0] for frame in frames] == [image[0, 0, 0] for image in ramp(12)[::2]]
    assert tally.sampled == 6


def test_broken_frames_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    clip = tmp_path / "door.frames"
    clip.mkdir()
    for number, image in enumerate(ramp(4)):
        (clip / f"{number}.png").write_bytes(encode_png(image))
    (clip / "1.png").write_bytes(b"no image")
    (clip / "2.png").unlink()
    (clip / "2.png").symlink_to(tmp_path / "nothing")
    (clip / ".thumbnail").write_bytes(b"no image")
    frames, tally = read(clip)
    assert [frame.number for frame in frames] == [0, 2]
    assert tally == Tally(decoded=3, sampled=2, broken=1)


# ------------------------------------------------------------------------------------------------------------ hostile


def packets(clip: Path) -> list[tuple[int, int]]:
    """Where each packet lies in the file, and its size."""
    with av.open(str(clip)) as container:
        return [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]


def test_broken_frames_in_the_middle_are_passed_over_and_counted(tmp_path: Path, film: Film) -> None:
    clip = film(tmp_path / "clip.mov", ramp(10), codec="png")
    content = bytearray(clip.read_bytes())
    for place, size in packets(clip)[4:6]:
        content[place : place + size] = b"\xa5" * size
    clip.write_bytes(content)
    frames, tally = read(clip)
    assert len(frames) == 8
    assert times(frames) == [0, 0.2, 0.4, 0.6, 1.2, 1.4, 1.6, 1.8]
    assert tally == Tally(decoded=10, sampled=8, broken=2)


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".webm", ".gif"])
def test_of_a_truncated_clip_the_frames_before_the_end_are_read(tmp_path: Path, film: Film, suffix: str) -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (10, 48, 64, 3), dtype=np.uint8))
    clip = film(tmp_path / f"clip{suffix}", noise)
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    frames, _ = read(clip)
    assert 3 <= len(frames) <= 8


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "cannot be decoded", id="zero bytes"),
        pytest.param(b"Dear diary,\n" * 50, "cannot be decoded", id="text named .mp4"),
        pytest.param(bytes(10_000), "cannot be decoded", id="zeros"),
        pytest.param(
            b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\ngood.mp4\n#EXT-X-ENDLIST\n",
            "cannot be decoded",
            id="playlist",
        ),
        pytest.param(b"ffconcat version 1.0\nfile good.mp4\n", "cannot be decoded", id="script"),
        pytest.param(
            b'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:'
            b'isoff-on-demand:2011" type="static" mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType='
            b'"video/mp4"><Representation id="1" bandwidth="1"><BaseURL>good.mp4</BaseURL></Representation>'
            b"</AdaptationSet></Period></MPD>",
            "cannot be decoded",
            id="dash",
        ),
        pytest.param(
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
            b"a=rtpmap:96 H264/90000\n",
            "cannot be decoded",
            id="sdp",
        ),
        pytest.param(b"<asx version='3.0'><entry><ref href='good.mp4'/></entry></asx>", "cannot be", id="asx"),
        pytest.param(b"[Reference]\nRef1=http://127.0.0.1/good.mp4\n", "cannot be decoded", id="asf reference"),
        pytest.param(encode_png(gray(90)), "^no clip: its content is PNG$", id="image2"),
        pytest.param(
            bytes.fromhex("0000001c") + b"ftypavif" + bytes(16), "^no clip: its content is AVIF$", id="still picture"
        ),
        pytest.param(
            bytes.fromhex("0000001c") + b"ftypheic" + bytes(16), "^no clip: its content is HEIF$", id="photo of a phone"
        ),
        pytest.param(b"PK\x03\x04" + bytes(30), "^no clip: its content is zip$", id="archive"),
        pytest.param(b".RMF" + bytes(30), "^RealMedia: a format that is not read$", id="known"),
        pytest.param(
            b"GIF89a\x01\x00\x01\x00\x00\x00\x00\x3b", "no frames|cannot be decoded|holds no video", id="no frames"
        ),
    ],
)
def test_what_is_no_video(tmp_path: Path, film: Film, content: bytes, reason: str) -> None:
    film(tmp_path / "good.mp4", ramp(3))
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(UnusableClipError, match=reason) as raised:
        read(tmp_path / "clip.mp4")
    assert str(tmp_path) not in str(raised.value)
    assert raised.value.code == (Code.UNSUPPORTED if "format" in reason else Code.BAD_CLIP)


def test_no_demuxer_is_asked_that_opens_other_files() -> None:
    """Each one is named; a new version of FFmpeg that brings another playlist changes nothing."""
    asked = set(decode._FORMATS.split(","))
    assert {"mov", "mpegts", "h264"} <= asked
    others = {"hls", "applehttp", "dash", "sdp", "rtsp", "rtp", "sap", "concat", "image2", "image2pipe", "imf"}
    others |= {"webm_dash_manifest", "vobsub", "lavfi", "avisynth", "fbdev", "v4l2", "alsa"}
    assert not asked & others
    assert not any(name.endswith("_pipe") for name in asked)


def test_a_truncated_mp4_has_lost_its_index(tmp_path: Path, film: Film) -> None:
    clip = film(tmp_path / "clip.mp4", ramp(10))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with pytest.raises(UnusableClipError, match=r"cannot be decoded|holds no video, or its index is cut off"):
        read(clip)


def test_a_video_without_frames(tmp_path: Path, film: Film) -> None:
    with pytest.raises(UnusableClipError, match=r"no frames|cannot be decoded"):
        read(film(tmp_path / "clip.avi", []))
    (tmp_path / "empty.frames").mkdir()
    with pytest.raises(UnusableClipError, match=r"^no frames$"):
        read(tmp_path / "empty.frames")


def with_streams(clip: Path, *streams: tuple[int, int, int]) -> Path:
    """A clip with streams of two frames each: of so many pixels' width, that gray, and with that disposition."""
    with av.open(str(clip), "w") as container:
        added = []
        for width, _, disposition in streams:
            codec, layout = ("mjpeg", "yuvj420p") if disposition == PICTURE else ("mpeg4", "yuv420p")
            stream = container.add_stream(codec, rate=5)
            stream.width, stream.height, stream.pix_fmt = width, 48, layout
            stream.disposition = disposition
            added.append(stream)
        container.start_encoding()
        for stream, (width, level, disposition) in zip(added, streams, strict=True):
            for number in range(1 if disposition == PICTURE else 2):
                frame = av.VideoFrame.from_ndarray(np.full((48, width, 3), level, np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 5)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return clip


USUAL, PICTURE = int(av.stream.Disposition.default), int(av.stream.Disposition.attached_pic)


@pytest.mark.parametrize(
    ("streams", "level", "count"),
    [
        pytest.param([(32, 50, USUAL), (64, 200, 0)], 200, 2, id="a preview first"),
        pytest.param([(64, 200, 0), (32, 50, USUAL)], 200, 2, id="a preview behind"),
        pytest.param([(64, 50, 0), (64, 200, USUAL)], 200, 2, id="of equal ones the usual one"),
        pytest.param([(64, 200, 0), (64, 50, 0)], 200, 2, id="or else the first"),
        pytest.param([(64, 200, 0)], 200, 1, id="one"),
    ],
)
@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_the_largest_stream_is_read(
    tmp_path: Path, streams: list[tuple[int, int, int]], level: int, count: int, suffix: str
) -> None:
    frames, tally = read(with_streams(tmp_path / f"clip{suffix}", *streams))
    assert frames[0].image.mean() == pytest.approx(level, abs=8)
    assert tally == Tally(decoded=2, sampled=2, streams=count)


def test_a_picture_that_is_attached_is_no_video(tmp_path: Path) -> None:
    clip = with_streams(tmp_path / "clip.mp4", (96, 50, PICTURE), (64, 200, 0))
    frames, tally = read(clip)
    assert frames[0].image.shape == (48, 64, 3)
    assert tally.streams == 1
    with pytest.raises(UnusableClipError, match="holds no video"):
        read(with_streams(tmp_path / "cover.mp4", (96, 50, PICTURE)))


def test_a_codec_that_is_not_known(tmp_path: Path, film: Film) -> None:
    clip = film(tmp_path / "clip.mkv", ramp(3))
    clip.write_bytes(clip.read_bytes().replace(b"V_MPEG4/ISO/ASP", b"V_MPEG9/ISO/XXX"))
    with pytest.raises(UnusableClipError, match=r"^its codec is not known$") as raised:
        read(clip)
    assert raised.value.code == Code.UNSUPPORTED


def test_sound_alone(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mov"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(UnusableClipError, match="holds no video"):
        read(tmp_path / "clip.mov")


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".gif"])
def test_frames_that_are_too_large(tmp_path: Path, film: Film, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = film(tmp_path / f"clip{suffix}", ramp(3))
    monkeypatch.setattr(decode, "MAX_PIXELS", 48 * 64 - 1)
    with pytest.raises(UnusableClipError, match="too large: frames of 64x48 pixels"):
        read(clip)


# ------------------------------------------------------------------------------------------------------------- digests


def test_frames_in_a_folder_that_are_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.frames"
    clip.mkdir()
    (clip / "0.png").write_bytes(encode_png(np.zeros((48, 64, 3), np.uint8)))
    monkeypatch.setattr(decode, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(UnusableClipError, match="too large: frames of 64x48 pixels"):
        list(read_frames(clip, FootageSettings(), Tally()))


def test_a_clip_is_known_by_its_bytes(tmp_path: Path, film: Film) -> None:
    one, two = film(tmp_path / "one.mkv", ramp(3)), film(tmp_path / "two.mkv", ramp(4))
    one.rename(tmp_path / "other name.mkv")
    assert len({clip_digest(tmp_path / "other name.mkv"), clip_digest(two)}) == 2
    two.write_bytes((tmp_path / "other name.mkv").read_bytes())
    assert clip_digest(two) == clip_digest(tmp_path / "other name.mkv")


def test_a_folder_is_known_by_its_frames_in_their_order(tmp_path: Path) -> None:
    digests = set()
    for name, levels in (("a", (10, 20)), ("b", (20, 10)), ("c", (10, 20, 30))):
        (tmp_path / name).mkdir()
        for number, level in enumerate(levels):
            (tmp_path / name / f"{number}.png").write_bytes(encode_png(gray(level)))
        digests.add(clip_digest(tmp_path / name))
    assert len(digests) == 3


def test_a_pipe_is_no_clip(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(UnusableClipError, match="not a file"):
        clip_digest(tmp_path / "clip.mp4")


def test_a_clip_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        clip_digest(tmp_path / "clip.mp4")
