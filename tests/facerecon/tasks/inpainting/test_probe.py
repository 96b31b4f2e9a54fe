"""The probe says what refitting the closed-form fill to all faces gains on new ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from facerecon.corruption.settings import MaskSettings
from facerecon.data.manifest import Manifest
from facerecon.data.store import FaceStore
from facerecon.models import build_model, model_options
from facerecon.models.settings import ModelSettings
from facerecon.models.trained import TrainedModel
from facerecon.tasks import Cases, get_task
from facerecon.tasks.inpainting.dataset import unchanged_faces
from facerecon.tasks.inpainting.training import trained_model

OPTIONS = {"features": [4, 8], "prior_grid": 16, "prior_components": 16, "prior_iterations": 6}
TASK = get_task("inpainting")
VALUES = {"promotion": {"resamples": 200}}


def dark(manifest: Manifest, folder: Path) -> Manifest:
    """All faces again, in the dark and upside down, as those of a source of its own."""
    store = manifest.aligned_faces
    photos = []
    for name in manifest.faces["face"]:
        photo = store.photo(name)
        (face,) = photo.faces
        photos.append(replace(photo, faces=[replace(face, crop=(face.crop[::-1] // 5).copy())]))
    FaceStore.write(folder, photos)
    return replace(manifest, store=str(folder))


@pytest.fixture(scope="module")
def champion(aligned: Manifest) -> TrainedModel:
    """A model whose prior was fitted to the faces of ``aligned``, and nothing else trained."""
    torch.manual_seed(0)
    settings = ModelSettings(family="unet_fill", options=model_options("unet_fill", OPTIONS))
    model = build_model("unet_fill", settings.options)
    names = aligned.faces["face"].tolist()
    model.fit(unchanged_faces(names, aligned.aligned_faces, len(names)))
    return trained_model(model, settings, aligned.size, 0)


@pytest.fixture(scope="module")
def cases(aligned: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Cases:
    masks = MaskSettings(count=8, levels=(1, 2), evaluation_families=("brush",))
    return TASK.freeze_cases({"masks": masks.model_dump(mode="json")}, aligned, tmp_path_factory.mktemp("masks"))


def joined(manifest: Manifest, new: int) -> Manifest:
    """The manifest with the last ``new`` people as collected ones: all but two of them in train, the two in val."""
    people = sorted(set(manifest.faces["identity"]))
    of_new = manifest.faces["identity"].isin(people[-new:])
    val = manifest.faces["identity"].isin(people[-2:])
    return replace(
        manifest,
        faces=manifest.faces.assign(
            source=np.where(of_new, "collected", "photos"), split=np.where(of_new & val, "val", "train")
        ),
    )


def test_faces_of_another_look_promise_a_gain(
    aligned: Manifest, champion: TrainedModel, cases: Cases, tmp_path: Path
) -> None:
    found = TASK.probe(VALUES, champion, joined(dark(aligned, tmp_path), 8), cases, "collected")
    assert found is not None
    assert found.mean is not None
    assert found.mean > 1
    assert (found.people, found.low) == (2, None)  # too few people to tell
    assert found.unit == "dB"


def test_refitted_to_the_faces_that_it_knows_it_gains_nothing(
    aligned: Manifest, champion: TrainedModel, cases: Cases
) -> None:
    everybody = replace(aligned, faces=aligned.faces.assign(source="collected", split="train"))
    twice = pd.concat([everybody.faces, everybody.faces.assign(split="val")], ignore_index=True)
    found = TASK.probe(VALUES, champion, replace(everybody, faces=twice), cases, "collected")
    assert found is not None
    assert (found.mean, found.people) == (0, everybody.faces["identity"].nunique())


def test_a_family_without_a_prior_has_none(aligned: Manifest, cases: Cases) -> None:
    settings = ModelSettings(family="unet_attention", options=model_options("unet_attention", {"features": [4, 8]}))
    trained = trained_model(build_model("unet_attention", settings.options), settings, aligned.size, 0)
    assert TASK.probe(VALUES, trained, joined(aligned, 4), cases, "collected") is None


def test_with_nobody_new_in_val_it_cannot_be_told(aligned: Manifest, champion: TrainedModel, cases: Cases) -> None:
    faces = joined(aligned, 4)
    found = TASK.probe(VALUES, champion, replace(faces, faces=faces.faces.assign(split="train")), cases, "collected")
    assert found is not None
    assert (found.mean, found.people) == (None, 0)
    assert "no new person is in val" in found.said
