"""Faces as tensors, and the order in which a training sees them."""

from collections import Counter
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facerecon.data.datasets import Mixed, StepSampler, evaluation_faces, to_tensor
from facerecon.data.manifest import Manifest

SAMPLERS = {
    "faces": st.integers(1, 12),
    "size": st.integers(1, 9),
    "batches": st.integers(0, 20),
    "seed": st.integers(0, 9),
}


class TestStepSampler:
    @given(**SAMPLERS)
    def test_every_face_comes_once_in_every_epoch(self, faces: int, size: int, batches: int, seed: int) -> None:
        drawn = [draw for batch in StepSampler(faces, size, batches, seed) for draw in batch]
        assert [draw.epoch for draw in drawn] == [position // faces for position in range(batches * size)]
        whole = Counter((draw.epoch, draw.index) for draw in drawn if draw.epoch < batches * size // faces)
        assert whole == Counter((epoch, index) for epoch in range(batches * size // faces) for index in range(faces))
        assert len({(draw.epoch, draw.index) for draw in drawn}) == len(drawn)

    @given(**SAMPLERS)
    def test_every_batch_is_full_and_progress_grows_from_zero_to_one(
        self, faces: int, size: int, batches: int, seed: int
    ) -> None:
        sampler = StepSampler(faces, size, batches, seed)
        drawn = list(sampler)
        assert len(drawn) == len(sampler) == batches
        assert all(len(batch) == size for batch in drawn)
        assert [{draw.progress for draw in batch} for batch in drawn] == [{k / batches} for k in range(batches)]

    @given(processes=st.integers(1, 4), **SAMPLERS)
    def test_processes_share_every_batch(self, faces: int, size: int, batches: int, seed: int, processes: int) -> None:
        shares = [StepSampler(faces, size, batches, seed, share=(rank, processes)) for rank in range(processes)]
        for whole, *parts in zip(StepSampler(faces, size, batches, seed), *shares, strict=True):
            assert sorted(chain.from_iterable(parts), key=whole.index) == whole
            assert max(map(len, parts)) - min(map(len, parts)) <= 1

    @given(start=st.integers(0, 20), **SAMPLERS)
    def test_a_resumed_run_gets_the_rest_of_the_whole_run(
        self, faces: int, size: int, batches: int, seed: int, start: int
    ) -> None:
        start = min(start, batches)
        rest = StepSampler(faces, size, batches, seed, start=start)
        assert list(rest) == list(StepSampler(faces, size, batches, seed))[start:]
        assert len(rest) == batches - start

    def test_seeds_and_epochs_have_orders_of_their_own(self) -> None:
        def order(seed: int) -> list[int]:
            return [draw.index for [draw] in StepSampler(50, 1, 100, seed)]

        assert order(0) == order(0) != order(1)
        assert order(0)[:50] != order(0)[50:]
        assert order(0)[:50] != list(range(50))


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_to_tensor_maps_0_to_255_to_minus_one_to_one(kind: type) -> None:
    image = np.zeros((2, 3, 3), dtype=kind)
    image[0, 2] = [255, 0, 51]
    tensor = to_tensor(image)
    assert tensor.shape == (3, 2, 3)
    assert tensor.dtype == torch.float32
    assert tensor[:, 0, 2].tolist() == pytest.approx([1, -1, -0.6])
    image[:] = 7
    assert tensor[0, 0, 2] == 1  # a copy


class TestEvaluationFaces:
    def test_faces_of_one_split_with_their_points(self, aligned: Manifest) -> None:
        faces = evaluation_faces(aligned, "gate", 100)
        rows = aligned.split("gate")
        assert len(faces) == 2
        assert faces.sha256s == rows["sha256"].tolist()
        assert faces.images.shape == (2, 64, 64, 3)
        np.testing.assert_array_equal(faces.images[1], aligned.aligned_faces.crop(rows.loc[1, "face"]))
        assert faces.points5().shape == (2, 5, 2)
        assert torch.equal(faces.points5()[0], torch.from_numpy(aligned.aligned_faces.points(rows.loc[0, "face"]).five))

    def test_the_choice_is_by_hash_so_that_growth_changes_little(self, aligned: Manifest) -> None:
        five = evaluation_faces(aligned, "train", 5).rows
        assert five["face"].tolist() == sorted(five["face"])
        assert set(five["face"]) < set(evaluation_faces(aligned, "train", 8).rows["face"])
        assert five["face"].tolist() != aligned.split("train")["face"].tolist()[:5]
        without = replace(aligned, faces=aligned.faces[aligned.faces["face"] != five.loc[2, "face"]])
        assert len(set(five["face"]) - set(evaluation_faces(without, "train", 5).rows["face"])) == 1

    def test_faces_of_a_named_set(self, aligned: Manifest) -> None:
        train, gate = aligned.split("train")["face"].tolist(), aligned.split("gate")["face"].tolist()
        named = replace(aligned, face_sets={"gate_new": (gate[0], train[0], "gone")})
        assert set(evaluation_faces(named, "gate_new", 9).faces) == {gate[0], train[0]}
        assert evaluation_faces(named, "gate", 9).faces == evaluation_faces(aligned, "gate", 9).faces
        moved = replace(named, moved=(str(aligned.split("gate").loc[0, "identity"]),))
        assert gate[0] not in evaluation_faces(moved, "gate_new", 9).faces

    def test_a_split_without_faces(self, aligned: Manifest) -> None:
        faces = evaluation_faces(aligned, "val", 5)
        assert len(faces) == 0
        assert faces.images.shape == (0, 64, 64, 3)
        assert faces.sha256s == []
        assert faces.points5().shape == (0, 5, 2)


@given(
    chosen=st.lists(st.booleans(), min_size=2, max_size=40).filter(lambda of: any(of) and not all(of)),
    share=st.floats(0.05, 0.95),
    batch_size=st.integers(1, 9),
    start=st.integers(0, 8),
)
def test_a_share_of_the_draws_is_of_the_chosen_whenever_it_is_resumed(
    chosen: list[bool], share: float, batch_size: int, start: int
) -> None:
    mixed = Mixed(np.array(chosen), share)
    batches = list(StepSampler(len(chosen), batch_size, 12, seed=1, mixed=mixed))
    resumed = list(StepSampler(len(chosen), batch_size, 12, seed=1, start=start, mixed=mixed))
    assert resumed == batches[start:]
    of_chosen = [chosen[draw.index] for batch in batches for draw in batch]
    for drawn in range(1, len(of_chosen) + 1):
        assert abs(sum(of_chosen[:drawn]) - share * drawn) <= 1
    for group in (True, False):
        # each group in permutations: nobody a second time before all were once
        indices = [draw.index for batch in batches for draw in batch if chosen[draw.index] is group]
        size = chosen.count(group)
        for begin in range(0, len(indices), size):
            assert len(set(indices[begin : begin + size])) == len(indices[begin : begin + size])
