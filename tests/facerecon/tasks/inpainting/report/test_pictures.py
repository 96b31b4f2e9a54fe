"""Pictures: they show what they say, to the pixel, and stay within the budget."""

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from facerecon.evaluation.evaluation import Evaluation
from facerecon.report import album, tables
from facerecon.report.album import Face, Tile
from facerecon.report.formats import palette
from facerecon.tasks.inpainting.report import REPORT, details_of, pictures
from facerecon.tasks.inpainting.report.pictures import Gallery, gallery

Arrays = dict[str, np.ndarray]
Samples = Callable[..., Arrays]
SIZE = 64


@pytest.fixture
def show(make_evaluation: Callable[..., Evaluation]) -> Callable[..., Gallery]:
    """``show(samples, comparison)``: their gallery, beside a champion called version 3."""

    def shown(samples: Arrays, comparison: Arrays | None = None) -> Gallery:
        return gallery(samples, comparison or {}, details_of(make_evaluation()), "version 3")

    return shown


def pixels(tile: Tile) -> np.ndarray:
    """The picture as it will be seen, RGB."""
    image = Image.open(io.BytesIO(base64.b64decode(tile.src.partition(",")[2])))
    assert image.size == (tile.width, tile.height)
    return np.asarray(image.convert("RGB"))


def by_caption(face: Face) -> dict[str, Tile]:
    return {tile.caption: tile for tile in face.tiles}


def test_pictures_show_what_they_say(make_samples: Samples, show: Callable[..., Gallery]) -> None:
    samples = make_samples()
    shown = show(samples)
    assert (shown.look.side, shown.look.lossless) == (SIZE, True)
    for index, face in enumerate([*shown.typical, *shown.worst]):
        hole = samples["mask"][index] == 1
        tiles = by_caption(face)
        assert list(tiles) == ["original", "hidden", "model", "Telea", "error", "confidence"]
        original, hidden, ours, telea, error, confidence = map(pixels, tiles.values())
        assert np.array_equal(original, samples["original"][index])
        assert np.array_equal(ours, samples["reconstructed"][index])
        assert np.array_equal(telea, samples["telea"][index])
        assert (hidden[hole] == pictures.HOLE_COLOUR).all()
        assert np.array_equal(hidden[~hole], original[~hole])
        assert (confidence[~hole] == pictures.KNOWN_GRAY).all()
        assert len(np.unique(confidence[hole], axis=0)) == 1
        assert (error[~hole] == error[~hole][0]).all()
        assert tiles["hidden"].figure == f"{hole.mean() * 100:.0f} %"
        assert tiles["model"].figure == f"{samples['hole_psnr'][index]:.1f} dB"
        squared = (telea[hole].astype(float) - original[hole]) ** 2
        assert tiles["Telea"].figure == f"{10 * np.log10(255**2 / squared.mean()):.1f} dB"
        assert tiles["confidence"].figure == "0.20"


def test_every_confidence_has_its_colour(make_samples: Samples, show: Callable[..., Gallery]) -> None:
    """More confidence is never shown as less, and none of it as a known pixel."""
    samples = make_samples(1, 0)
    samples["mask"][:] = 1
    samples["confidence"][0] = np.arange(SIZE * SIZE).reshape(SIZE, SIZE) // 16
    seen = pixels(by_caption(show(samples).typical[0])["confidence"]).reshape(-1, 3)
    colours = palette(pictures.CONFIDENCE_COLOURS, 255).tolist()
    places = [colours.index(colour) for colour in seen.tolist()]
    assert (np.diff(places) >= 0).all()
    assert (places[0], places[-1]) == (0, 254)


def test_error_scale_is_fixed(make_samples: Samples, show: Callable[..., Gallery]) -> None:
    """One face's map does not depend on the other faces' errors, and ends at ERROR_SCALE."""
    samples = make_samples(2, 0)
    samples["error"][0], samples["error"][1] = 32, 64
    half, end = (pixels(by_caption(face)["error"]) for face in show(samples).typical)
    samples["error"][1] = 200
    same, beyond = (pixels(by_caption(face)["error"]) for face in show(samples).typical)
    assert np.array_equal(half, same)
    assert np.array_equal(end, beyond)
    assert not np.array_equal(half, end)


def test_exact_reconstruction_is_infinite(make_samples: Samples, show: Callable[..., Gallery]) -> None:
    samples = make_samples(1, 0)
    samples["telea"], samples["hole_psnr"][:] = samples["original"].copy(), np.inf
    tiles = by_caption(show(samples).typical[0])
    assert (tiles["model"].figure, tiles["Telea"].figure) == ("∞ dB", "∞ dB")


def test_parts_are_cut_from_the_full_pictures(make_samples: Samples, show: Callable[..., Gallery]) -> None:
    samples = make_samples(1, 0)
    samples["mask"][0], samples["boxes"][0, 1] = 0, [24, 24, 40, 48]
    samples["mask"][0, 24:36, 24:40] = 1
    eyes, nose, mouth = show(samples).typical[0].details
    assert [part.name for part in (eyes, nose, mouth)] == ["eyes", "nose", "mouth"]
    assert np.array_equal(pixels(nose.original), samples["original"][0, 24:48, 24:40])
    assert np.array_equal(pixels(nose.reconstruction), samples["reconstructed"][0, 24:48, 24:40])
    assert (nose.hidden, mouth.hidden) == ("50 %", "0 %")
    assert nose.ratio == pytest.approx(16 / 24, abs=1e-3)


def test_a_part_outside_the_picture_is_left_out(make_samples: Samples, show: Callable[..., Gallery]) -> None:
    samples = make_samples(1, 0)
    samples["boxes"][0, 2] = [20, SIZE, 40, SIZE]
    assert [part.name for part in show(samples).typical[0].details] == ["eyes", "nose"]


def test_attention_maps_by_scale(make_samples: Samples, show: Callable[..., Gallery]) -> None:
    coarse, fine = show(make_samples(1, 0)).typical[0].attention
    assert [(tile.caption, tile.figure) for tile in (coarse, fine)] == [("1/2", "0.40"), ("1/1", "0.80")]
    colours = palette(pictures.ATTENTION_COLOURS)
    assert (pixels(coarse) == colours[102]).all()
    assert (pixels(fine) == colours[204]).all()


def test_worst_first_whatever_their_order(make_samples: Samples, show: Callable[..., Gallery]) -> None:
    samples = make_samples(2, 3)
    samples["hole_psnr"][:] = [30, 20, 12, 8, 10]
    shown = show(samples)
    assert [by_caption(face)["model"].figure for face in shown.typical] == ["30.0 dB", "20.0 dB"]
    assert [by_caption(face)["model"].figure for face in shown.worst] == ["8.0 dB", "10.0 dB", "12.0 dB"]
    assert [face.title.partition(",")[0] for face in shown.worst] == ["Worst 1", "Worst 2", "Worst 3"]
    assert np.array_equal(pixels(shown.worst[0].tiles[0]), samples["original"][3])


def test_gate_faces_by_both_models(
    make_samples: Samples, make_comparison: Samples, show: Callable[..., Gallery]
) -> None:
    comparison = make_comparison(2)
    shown = show(make_samples(1, 0), comparison)
    for index, face in enumerate(shown.compared):
        tiles = by_caption(face)
        assert list(tiles) == ["original", "hidden", "this model", "version 3"]
        assert np.array_equal(pixels(tiles["this model"]), comparison["challenger"][index])
        assert np.array_equal(pixels(tiles["version 3"]), comparison["champion"][index])
        assert tiles["version 3"].figure == "∞ dB"
    assert show(make_samples(1, 0), make_comparison(0)).compared == ()


def test_what_does_not_fit_is_stored_with_loss_and_then_smaller(
    make_samples: Samples, show: Callable[..., Gallery], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = make_samples(2, 1, 128)
    samples["original"] = np.random.default_rng(0).integers(0, 256, samples["original"].shape, dtype=np.uint8)
    looks = []
    for budget in (400_000, 140_000, 90_000, 0):
        monkeypatch.setattr(album, "IMAGE_BUDGET", budget)
        shown = show(samples)
        looks.append((shown.look.side, shown.look.lossless))
        tiles = [tile for face in (*shown.typical, *shown.worst) for tile in (*face.tiles, *face.attention)]
        tiles += [tile for face in shown.typical for part in face.details for tile in (part.original,)]
        # the last look is taken as it comes
        assert budget == 0 or sum(len(base64.b64decode(tile.src.partition(",")[2])) for tile in tiles) <= budget
        assert {tile.width for face in shown.typical for tile in face.tiles} == {shown.look.side}
    assert looks[0] == (128, True)
    assert looks[1] == (128, False)
    assert looks[2][0] < 128
    assert looks[3] == (64, False)


def test_mask_examples_are_white_where_hidden(make_evaluation: Callable[..., Evaluation]) -> None:
    rows = pictures.mask_examples(tables.blocks(make_evaluation(), REPORT))
    assert [row["title"] for row in rows] == ["brush masks", "boxes masks", "held out masks"]
    for row in rows:
        shares = [(pixels(tile) == 255).mean() for tile in row["tiles"]]
        assert shares == sorted(shares)
        assert all(set(np.unique(pixels(tile))) == {0, 255} for tile in row["tiles"])
        assert shares[1] == pytest.approx(0.4, abs=0.1)
    assert [tile.alt for tile in rows[2]["tiles"]] == [
        f"one of the held out masks, level {k}, white where the picture is hidden" for k in (1, 2, 3)
    ]
