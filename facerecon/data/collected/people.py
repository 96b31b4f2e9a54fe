"""Who is in new tracks: somebody known already, somebody new, or somebody of whom that cannot be told safely.

People keep the split in which they were first seen, whatever comes later. A track joins the person whom it resembles
most, by the mean cosine over pairs, if that is at least ``similarity``. Below that two people can still be one: a track
of which a person in another split may be the same is left out, so that no model is measured on whom it learned from.

Faces of one camera are alike by its look, above all at night: two people have a cosine of 0.45 there in 1 of 100 pairs,
in photographs in 1 of 30,000. So embeddings are compared centred, too: without the mean of their camera's tracks, or of
all photographs, and brought to unit length again. That mean is drawn towards 0 where it is of few.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facerecon.data.collected.ledger import Ledger, Person, encoded, track_name
from facerecon.data.collected.settings import CollectSettings
from facerecon.data.footage.people import Seen, name_people
from facerecon.data.settings import Split
from facerecon.data.splits import split_of
from facerecon.errors import FaceReconError
from facerecon.files import digest_of

LEAST = 0.40
"""Below this cosine nobody is suspected, however many people there are."""

FALSE_MATCHES = ((0.304, 1e-2), (0.370, 1e-3), (0.426, 1e-4), (0.476, 1e-5))
"""Cosines of SFace and the share of pairs of two people that reach them: 3.95 million pairs of LFW, folds 1 to 7."""

FEW = 10
"""Among fewer new tracks the share that is left out says nothing."""

_CAMERA = 50
"""The mean of so many tracks counts by half: of a few it would be that of the people, not of the camera."""

_ORDER: tuple[Split, ...] = ("train", "val", "gate", "test")
"""Where two people prove to be one, who is in the later of their splits leaves the evaluation."""

_KEY = 16


@dataclass(frozen=True)
class NewTrack:
    """A track of a new clip: the clip's SHA-256 and ``camera`` (the folder it lies in), its ``number``, when it was
    ``first`` and ``last`` seen (seconds), its unit ``embedding`` [D]."""

    clip: str
    camera: str
    number: int
    first: float
    last: float
    embedding: NDArray[np.float32]

    @property
    def name(self) -> str:
        """What it is called in the ledger."""
        return track_name(self.clip, self.number)


@dataclass(frozen=True)
class _Track(NewTrack):
    """A new track with its ``centred`` unit embedding [D]."""

    centred: NDArray[np.float64]


@dataclass(frozen=True)
class OldPerson:
    """Somebody in photographs: their ``photos`` (SHA-256), ``split``, and the unit ``embeddings`` of their faces [N,
    D]."""

    photos: tuple[str, ...]
    split: Split
    embeddings: NDArray[np.float32]


@dataclass(frozen=True)
class Assignment:
    """Who is in the new tracks.

    ``ledger`` knows them; ``joined`` tracks show somebody known, ``new`` counts new people by split, ``left_out`` are
    tracks that may show somebody of another split. ``threshold`` is the cosine from which they may, by split of the
    track ("" where people are not told apart by their faces); ``proved`` counts people who left the evaluation.
    """

    ledger: Ledger
    joined: int
    new: dict[str, int]
    left_out: dict[str, float]
    threshold: dict[str, float]
    proved: int


def suspicion(people: int, innocents_lost: float) -> float:
    """The cosine from which a track may show one of so many ``people``.

    Of tracks that show none of them the share ``innocents_lost`` reaches it with one of them by chance. It is
    interpolated, and beyond them extrapolated, in the logarithms of FALSE_MATCHES, and never below LEAST.
    """
    if not people:
        return 1.0
    wanted = math.log10(-math.expm1(math.log1p(-innocents_lost) / people))
    cosines, rates = zip(*((cosine, math.log10(rate)) for cosine, rate in FALSE_MATCHES), strict=True)
    if wanted < rates[-1]:
        slope = (cosines[-1] - cosines[-2]) / (rates[-1] - rates[-2])
        return min(1.0, cosines[-1] + slope * (wanted - rates[-1]))
    return max(LEAST, float(np.interp(-wanted, [-rate for rate in rates], cosines)))


def assign(
    ledger: Ledger, tracks: Sequence[NewTrack], old: Sequence[OldPerson], settings: CollectSettings
) -> Assignment:
    """Say who is in ``tracks``; the same tracks in any order give the same people.

    Raises:
        FaceReconError: more than ``settings.most_left_out`` of them would be left out.
    """
    tracks = _centred(sorted(tracks, key=lambda track: (track.clip, track.number)))
    if settings.footage.same_person == "embedding":
        return _by_faces(ledger, tracks, old, settings)
    groups = defaultdict(list)
    for track in tracks:
        groups[_told_key(track, settings)].append(track)
    people, new = dict(ledger.people), defaultdict[str, int](int)
    for key, group in groups.items():
        if key not in people:
            people[key] = _somebody(group, split_of(key, settings.splits))  # type: ignore[arg-type]  # one of the four
            new[people[key].split] += 1
        else:
            people[key] = _with(people[key], group)
    return Assignment(replace(ledger, people=people), 0, dict(new), {}, {}, 0)


def _centred(tracks: Sequence[NewTrack]) -> list[_Track]:
    """The tracks with their embeddings without what those of their camera have in common."""
    of_camera = defaultdict(list)
    for track in tracks:
        of_camera[track.camera].append(track.embedding.astype(np.float64))
    means = {camera: np.sum(rows, axis=0) / (len(rows) + _CAMERA) for camera, rows in of_camera.items()}
    return [_Track(**vars(track), centred=_unit(track.embedding - means[track.camera])) for track in tracks]


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Vectors [..., D] at unit length."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    found: NDArray[np.float64] = vectors / np.maximum(lengths, 1e-9)
    return found


def _told_key(track: NewTrack, settings: CollectSettings) -> str:
    of = track.clip if settings.footage.same_person == "clip" else track.camera
    return digest_of([settings.footage.same_person, of])[:_KEY]


class _Known:
    """Everybody who is known: mean embeddings, splits, and who was seen in the new clips."""

    def __init__(self, ledger: Ledger, old: Sequence[OldPerson]) -> None:
        self.old = list(old)
        self.people = dict(ledger.people)
        self.gone = set(ledger.gone)
        self.seen: dict[str, list[_Track]] = defaultdict(list)

    @cached_property
    def _old_means(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The mean embeddings of old people, and their centred ones at unit length, each [N, D]."""
        faces = [person.embeddings.astype(np.float64) for person in self.old]
        centre = np.sum([each.sum(0) for each in faces], axis=0) / (sum(map(len, faces)) + _CAMERA)
        return np.array([each.mean(0) for each in faces]), _unit(
            np.array([_unit(each - centre).mean(0) for each in faces])
        )

    def alike(
        self, group: Sequence[_Track]
    ) -> tuple[list[str | int], list[Split], NDArray[np.float64], NDArray[np.float64]]:
        """Who there is (a key, or the place of an old person), their splits, the mean cosine of each with the group's
        tracks [N], and the cosine of the centred means [N]."""
        keys = list(self.people)
        splits = [person.split for person in self.old] + [self.people[key].split for key in keys]
        rows = [self.people[key].embedding_sum / len(self.people[key].tracks) for key in keys]
        centred = [_unit(self.people[key].centred_sum) for key in keys]
        if self.old:
            rows, centred = [*self._old_means[0], *rows], [*self._old_means[1], *centred]
        if not rows:
            return [], [], np.empty(0), np.empty(0)
        mean = np.mean([track.embedding.astype(np.float64) for track in group], axis=0)
        centre = _unit(np.mean([track.centred for track in group], axis=0))
        return [*range(len(self.old)), *keys], splits, np.stack(rows) @ mean, np.stack(centred) @ centre

    def has_left(self, who: str | int) -> bool:
        """Whether they left the evaluation."""
        if isinstance(who, int):
            return not self.gone.isdisjoint(self.old[who].photos)
        return bool(self.people[who].left)

    def is_beside(self, who: str | int, group: Sequence[_Track]) -> bool:
        """Whether they are seen beside somebody of the group, at the same time in one clip."""
        return isinstance(who, str) and any(
            one.clip == other.clip and one.first <= other.last and other.first <= one.last
            for one in self.seen[who]
            for other in group
        )

    def leave(self, who: str | int, why: str) -> None:
        """Take somebody out of the evaluation."""
        if isinstance(who, int):
            self.gone.update(self.old[who].photos)
        else:
            self.people[who] = replace(self.people[who], left=why)


def _by_faces(ledger: Ledger, tracks: list[_Track], old: Sequence[OldPerson], settings: CollectSettings) -> Assignment:
    similarity, known = settings.footage.similarity, _Known(ledger, old)
    new, left_out = defaultdict[str, int](int), dict[str, float]()
    thresholds: dict[str, float] = {}
    joined = proved = 0
    # who is evaluated first: a train track that resembles them is left out, not they
    groups = sorted(_groups(tracks, similarity), key=lambda group: _split_if_new(group, settings) == "train")
    for group in groups:
        who, splits, cosines, centred = known.alike(group)
        beside = {place for place, other in enumerate(who) if known.is_beside(other, group)}
        nearest_first = [int(place) for place in np.argsort(-cosines, kind="stable")]
        alike = [place for place in nearest_first if cosines[place] >= similarity and centred[place] >= LEAST]
        alike = [place for place in alike if place not in beside]
        # somebody who left the evaluation is somebody else's double
        alike.sort(key=lambda place: known.has_left(who[place]))
        split = splits[alike[0]] if alike else _split_if_new(group, settings)
        others = [
            place
            for place, other in enumerate(splits)
            if place not in (*alike, *beside)
            and (other == "train") != (split == "train")
            and not known.has_left(who[place])
        ]
        threshold = suspicion(len(others), settings.innocents_lost)
        thresholds[split] = max(thresholds.get(split, 0.0), threshold)
        nearest = max((float(centred[place]) for place in others), default=-1.0)
        if nearest >= threshold:
            left_out |= {track.name: round(nearest, 4) for track in group}
            continue
        key = _key(group)
        if alike and isinstance(chosen := who[alike[0]], str):
            key = chosen
            known.people[key] = _with(known.people[key], group)
        else:
            known.people[key] = replace(_somebody(group, split), old=bool(alike))
        known.seen[key] += group
        if alike:
            joined += len(group)
        else:
            new[split] += 1
        proved += _separate(known, [(who[place], splits[place]) for place in alike])
    considered = len(tracks)
    if considered >= FEW and len(left_out) > settings.most_left_out * considered:
        told = ", ".join(f"{value:.3f} in {split}" for split, value in sorted(thresholds.items()))
        raise FaceReconError(
            f"{len(left_out)} of {considered} new tracks may show somebody of another split (cosine from {told}), more "
            f"than retraining.collect.most_left_out = {settings.most_left_out:g}: do these cameras' faces tell people "
            "apart? Set retraining.collect.footage.same_person to clip or camera, or raise most_left_out"
        )
    gone = tuple(sorted(known.gone))
    told_ledger = replace(ledger, people=known.people, left_out={**ledger.left_out, **left_out}, gone=gone)
    return Assignment(told_ledger, joined, dict(new), left_out, thresholds, proved)


def _separate(known: _Known, alike: list[tuple[str | int, Split]]) -> int:
    """Of people who prove to be one, let those in a later split than the first of them leave; how many did."""
    present = [(who, split) for who, split in alike if not known.has_left(who)]
    if len({split for _, split in present}) < 2:
        return 0
    first = min((split for _, split in present), key=_ORDER.index)
    leaving = [who for who, split in present if split != first]
    for who in leaving:
        known.leave(who, f"is somebody in {first}, too")
    return len(leaving)


def _groups(tracks: list[_Track], similarity: float) -> list[list[_Track]]:
    """The new tracks by person, in order of the people's keys."""
    names = name_people([Seen(t.clip, t.name, t.first, t.last, t.embedding) for t in tracks], similarity)
    groups = defaultdict(list)
    for track, name in zip(tracks, names, strict=True):
        groups[name].append(track)
    return sorted(groups.values(), key=_key)


def _key(group: Sequence[NewTrack]) -> str:
    """The key of somebody who is first seen in these tracks."""
    return digest_of(["track", min(track.name for track in group)])[:_KEY]


def _split_if_new(group: Sequence[NewTrack], settings: CollectSettings) -> Split:
    return split_of(_key(group), settings.splits)  # type: ignore[return-value]  # one of the four


def _somebody(group: Sequence[_Track], split: Split) -> Person:
    nobody = encoded(np.zeros_like(group[0].embedding))
    return _with(Person(split, (), nobody, nobody), group)


def _with(person: Person, group: Sequence[_Track]) -> Person:
    total = person.embedding_sum + np.stack([track.embedding for track in group]).sum(axis=0, dtype=np.float64)
    centred = person.centred_sum + np.stack([track.centred for track in group]).sum(axis=0)
    tracks = (*person.tracks, *(track.name for track in group))
    return replace(person, tracks=tracks, sum=encoded(total), centred=encoded(centred))
