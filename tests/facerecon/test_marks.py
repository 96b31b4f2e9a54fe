"""What the project writes is marked, and nothing is trained on it."""

from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from PIL import Image

from facerecon.data.footage.decode import UnusableClipError, refuse_marked
from facerecon.data.footage.extraction import extract_all
from facerecon.data.ingest import ingest
from facerecon.data.quarantine import Code
from facerecon.data.settings import DataSettings, FootageSettings
from facerecon.inference.clips import clip_writer
from facerecon.inference.pictures import encode
from facerecon.marks import XMP


@pytest.fixture
def pixels() -> np.ndarray:
    """A picture of noise."""
    return np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


def test_a_marked_picture_is_quarantined_whatever_its_name_and_format(pixels: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "ada"
    folder.mkdir()
    (folder / "a.png").write_bytes(encode(pixels, "{}"))
    (folder / "b.jpg").write_bytes(encode(255 - pixels, "{}"))
    Image.fromarray(pixels).save(folder / "c.jpg", xmp=XMP.encode())  # encoded anew by a program that keeps XMP
    Image.fromarray(pixels).save(folder / "d.jpg")
    manifest = ingest(DataSettings(path=str(tmp_path)), tmp_path, tmp_path / "frames")
    assert [Path(uri).name for uri in manifest.faces["uri"]] == ["d.jpg"]
    assert manifest.quarantine["code"].tolist() == [Code.RECONSTRUCTED.value] * 3


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_marked_clip_is_quarantined(pixels: np.ndarray, name: str, tmp_path: Path) -> None:
    with clip_writer(tmp_path / name, lossless=name.endswith("mkv")) as writer:
        for number in range(3):
            writer.write(pixels, number / 5)
    (found,) = extract_all([tmp_path / name], tmp_path / "archives", FootageSettings(workers=1))
    assert found.refused
    assert found.refused.code is Code.RECONSTRUCTED


def test_a_folder_with_a_marked_frame_is_refused(pixels: np.ndarray, tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    refuse_marked(tmp_path)
    (tmp_path / "2.png").write_bytes(encode(pixels, "{}"))
    with pytest.raises(UnusableClipError, match="made by a network"):
        refuse_marked(tmp_path)


def test_other_programs_read_from_the_mark_what_it_is(pixels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(pixels, "{}"))
    with Image.open(tmp_path / "a.png") as image:
        packet = ElementTree.fromstring(image.info["XML:com.adobe.xmp"].partition("?>")[2].rpartition("<?")[0])
    (described,) = packet[0]
    said = described.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType", "")
    assert said.endswith("/compositeWithTrainedAlgorithmicMedia")
    with clip_writer(tmp_path / "a.mp4", lossless=False) as writer:
        writer.write(pixels, 0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert "It is a guess" in container.metadata["comment"]
