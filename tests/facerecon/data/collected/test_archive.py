"""What is kept of a clip: faces that are good enough, of tracks that were seen often enough."""

from typing import Any

import pytest

from facerecon.data.collected.archive import quality, select


def record(*tracks: tuple[int, list[float]]) -> dict[str, Any]:
    """The record of an extracted clip: (frames in which it was seen, ranks of its faces) of each track."""
    rows = []
    for number, (seen, ranks) in enumerate(tracks, 1):
        faces = [
            {
                "member": f"{number}/{i}.png",
                "frame": i,
                "time": i / 5,
                "score": rank,
                "anchor": [9, 8],
                "corner": [5, 6],
            }
            for i, rank in enumerate(ranks)
        ]
        rows.append({"number": number, "first": 0.0, "last": 1.0, "seen": seen, "embedding": [1.0], "faces": faces})
    return {"tracks": rows}


def test_poorer_faces_are_counted() -> None:
    (track,) = select(record((9, [0.7, 0.5, 0.56])), 0.55)
    assert [face.score for face in track.faces] == [0.7, 0.56]
    assert track.poor == 1
    assert (track.faces[0].anchor, track.faces[0].corner) == ((9, 8), (5, 6))


def test_of_a_glimpse_nothing_is_kept() -> None:
    glimpse, seen = select(record((2, [0.9, 0.9]), (3, [0.9])), 0.55, min_seen=3)
    assert (len(glimpse.faces), glimpse.poor) == (0, 2)
    assert (len(seen.faces), seen.poor) == (1, 0)


def test_a_camera_that_interlaces_is_not_shut_out() -> None:
    # extraction ranks a face of an interlaced frame 1 lower, so that others are chosen where there are any
    (track,) = select(record((9, [0.8 - 1, 0.6 - 1])), 0.55)
    assert [face.score for face in track.faces] == [pytest.approx(0.8 * 0.5**0.25)]
    assert track.poor == 1


@pytest.mark.parametrize(("rank", "expected"), [(0.0, 0.0), (1.0, 1.0), (-1.0, 0.0), (-0.5, 0.42)])
def test_quality_lies_between_0_and_1(rank: float, expected: float) -> None:
    assert quality(rank) == pytest.approx(expected, abs=1e-2)
