"""What came of new clips. Imports no torch."""

from pydantic import Field

from facerecon.settings import Settings


class TakenIn(Settings):
    """A clip that was taken in: its name, how many ``tracks`` and ``faces`` of it are kept, how many were ``poor``."""

    name: str
    tracks: int
    faces: int
    poor: int


class Collection(Settings):
    """What came of new clips.

    ``young`` ones are left to the next run, for they may still grow. ``refused`` has (name, reason), ``again`` (name,
    name it was taken in by) of the same bytes under another name. ``joined`` tracks show somebody known, ``new_people``
    counts new ones by split, ``left_out`` tracks that may show somebody of another split, ``threshold`` the cosine from
    which they may, by split; ``proved`` people left the evaluation. ``digests`` has the SHA-256 of each clip that was
    read, by name.
    """

    taken_in: tuple[TakenIn, ...] = ()
    young: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    again: tuple[tuple[str, str], ...] = ()
    joined: int = 0
    new_people: dict[str, int] = Field(default_factory=dict)
    left_out: int = 0
    threshold: dict[str, float] = Field(default_factory=dict)
    proved: int = 0
    digests: dict[str, str] = Field(default_factory=dict)
