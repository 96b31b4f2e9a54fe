"""Where the photographs come from and who is in which split."""

import codecs
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    WrapValidator,
    field_validator,
    model_validator,
)

from facerecon.data.people import person_name
from facerecon.data.templates import Name
from facerecon.errors import FaceReconError
from facerecon.settings import Settings, Share

SYSTEM_NAMES = (
    *("@eaDir", "@__thumb", "@Recycle", "#recycle", "#snapshot", "$RECYCLE.BIN", "RECYCLER", "RECYCLED"),
    *("System Volume Information", "lost+found", "__MACOSX", ".*"),
    *("Thumbnails", "Thumbs.db", "ehthumbs*.db", "desktop.ini", "Icon\r"),
)
"""Files and folders of systems and of network storage: thumbnails, waste baskets, what is hidden."""

Split = Literal["train", "val", "gate", "test"]


class SplitShares(Settings):
    """Shares of the identities, not of the photos; they sum to 1.

    ``people`` are assigned by name, as the source gives it, whatever the shares: ``{val: [Ada], gate: [Bob]}``.
    """

    train: Share = 0.7
    val: Share = 0.1
    gate: Share = 0.1
    test: Share = 0.1
    people: dict[Split, tuple[str, ...]] = Field(default_factory=dict, description="by split, before the shares")

    @model_validator(mode="after")
    def _sum_to_one(self) -> "SplitShares":
        total = self.train + self.val + self.gate + self.test
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four shares sum to {total:g}, they must sum to 1")
        names = Counter(person_name(name) for people in self.people.values() for name in people)
        if twice := [name for name, count in names.items() if count > 1]:
            raise ValueError(f"people: {', '.join(twice)} stands there more than once: name each once")
        return self

    @cached_property
    def assigned(self) -> dict[str, Split]:
        """The split of each of ``people``."""
        return {person_name(name): split for split, names in self.people.items() for name in names}


class FootageSettings(Settings):
    """What is taken out of clips; for the source ``footage`` alone. Sizes are in pixels of the frame.

    ``detector``: MediaPipe finds large faces, MTCNN those from ``min_face`` on; ``auto`` asks both. ``same_person``:
    ``embedding`` joins tracks whose faces are alike, in all clips; ``clip`` takes all tracks of a clip for one
    identity, ``camera`` all of a folder below the root, so that they share a split.
    """

    frames_per_second: float = Field(5, gt=0, le=240, description="so many frames are looked at; 240 takes them all")
    folder_rate: float = Field(25, gt=0, le=1000, description="frames per second in a folder of frames")
    detector: Literal["auto", "mediapipe", "mtcnn"] = "auto"
    min_face: int = Field(24, ge=12, le=2000, description="least height of a face, forehead to chin")
    max_gap: float = Field(2.0, ge=0, le=60, description="seconds after which a face not seen ends its track")
    best_per_track: int = Field(5, ge=1, le=100, description="frames kept of a track, the best")
    seconds_apart: float = Field(0.5, gt=0, le=3600, description="one frame at most is kept of so many seconds")
    same_person: Literal["embedding", "clip", "camera"] = "embedding"
    similarity: float = Field(0.5, ge=-1, le=1, description="mean cosine (SFace) from which tracks show one person")
    workers: int = Field(2, ge=1, le=256, description="clips read at a time")


class YoutubeFacesSettings(Settings):
    """What is taken from the clips of the source ``youtube_faces``."""

    frames_per_clip: int = Field(10, ge=1, le=10_000, description="frames kept of a clip, spread evenly")


class DrawSettings(Settings):
    """What the source ``drawn`` draws where it is missing, with its shape: points, mesh and depth."""

    people: int = Field(400, ge=1, le=10_000)
    photos: int = Field(3, ge=1, le=100, description="of each of them")
    size: int = Field(320, ge=64, le=1024, multiple_of=2, description="pixels a side")
    seed: int = Field(0, ge=0)
    lights: bool = Field(False, description="each photo in one of the five lighting conditions")
    workers: int = Field(2, ge=1, le=256)


class DataSettings(Settings):
    """A source of faces. A relative ``path`` starts at the project's root.

    Of several sources ``name`` tells each from the others. A name of a person in two of them is taken for two people,
    who share a split, unless both say ``shared_names``.
    """

    name: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", description="null: that of the layout")
    source: str = Field("folder", description="layout on disk: a name from facerecon.data.sources")
    path: str = Field("data/sample", min_length=1)
    licence: str = Field(
        "unknown", max_length=1000, description="licence of the photographs, printed in the model card"
    )
    identity_level: int | None = Field(
        None,
        ge=-9,
        le=9,
        description="which folder below the root names the person: 1 the first, -1 the photo's own, 0 none; null finds "
        "out; for the sources folder and archive",
    )
    follow_links: bool = Field(False, description="follow links to folders out of the root, too")
    exclude: tuple[str, ...] = Field(
        SYSTEM_NAMES, description="files and folders of these names are passed over: patterns as the shell's"
    )
    aligned: Name | None = Field(
        None, description="the photos are aligned crops of this template: they are kept whole, and nothing is cut out"
    )
    zip_encoding: str | None = Field(
        None, description="encoding of names in zip archives that do not say theirs: cp932, gbk ..."
    )
    max_faces: int | None = Field(None, ge=1, description="keep only so many photos, chosen by hash; null keeps all")
    splits: SplitShares = Field(default_factory=SplitShares)
    shared_names: bool = Field(False, description="a name is the same person in all sources that say so")
    draw: DrawSettings | None = Field(None, description="null: nothing is drawn; for the source drawn")
    footage: FootageSettings = Field(default_factory=FootageSettings)
    youtube_faces: YoutubeFacesSettings = Field(default_factory=YoutubeFacesSettings)

    @model_validator(mode="after")
    def _draws_what_is_drawn(self) -> "DataSettings":
        if self.draw is not None and self.source != "drawn":
            raise ValueError(f"draw: faces are drawn for the source drawn, not for {self.source}: leave it out")
        return self

    @field_validator("zip_encoding")
    @classmethod
    def _known_encoding(cls, encoding: str | None) -> str | None:
        try:
            return encoding and codecs.lookup(encoding).name
        except LookupError as error:
            raise ValueError(f"no encoding of this name is known: {encoding}") from error

    @property
    def label(self) -> str:
        """What a manifest calls the source: its ``name``, or else its layout."""
        return self.name or self.source


LICENCES = 4_000
"""So many characters the licences of all sources may have: they are a tag of the registered model."""


def _one_or_several(value: Any, validate: Callable[[Any], Any]) -> Any:
    if isinstance(value, DataSettings | Mapping):
        return (DataSettings.model_validate(value),)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("give a source, or a list of sources")
    return validate(value)


def _told_apart(sources: tuple[DataSettings, ...]) -> tuple[DataSettings, ...]:
    label, count = Counter(source.label for source in sources).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{count} sources are called '{label}': give each a `name` of its own")
    if any(source.splits != sources[0].splits for source in sources):
        raise ValueError("the sources have different `splits`, so one person could be in two: give all the same")
    if (length := len(licence_text(licences_of(sources)))) > LICENCES:
        raise ValueError(f"their licences have {length} characters together, at most {LICENCES} are kept: shorten them")
    return sources


def _as_given(sources: tuple[DataSettings, ...]) -> Any:
    return sources[0] if len(sources) == 1 else list(sources)


Sources = Annotated[
    tuple[DataSettings, ...],
    WrapValidator(_one_or_several),
    AfterValidator(_told_apart),
    PlainSerializer(_as_given),
]
"""What stands under ``data:``: one source, as a mapping, or a list of them with names of their own and equal splits.

A single one is written as a mapping again.
"""

_SOURCES: TypeAdapter[tuple[DataSettings, ...]] = TypeAdapter(Sources)


def sources_of(data: Any) -> tuple[DataSettings, ...]:
    """The sources that ``data`` gives as ``Sources`` takes them.

    Raises:
        FaceReconError: it gives none, two of one name, or different splits.
    """
    try:
        return _SOURCES.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(("data", *map(str, first["loc"])))
        raise FaceReconError(f"{where}: {first['msg'].removeprefix('Value error, ')}") from error


def licences_of(sources: tuple[DataSettings, ...]) -> dict[str, str]:
    """The licence of each source's photographs, by what the source is called."""
    return {source.label: source.licence for source in sources}


def licence_text(licences: Mapping[str, str]) -> str:
    """One source's licence as it is; of several each with its source's name before it."""
    named = [f"{label}: {licence}" for label, licence in licences.items()]
    return "; ".join(named if len(licences) > 1 else licences.values())
