"""Scores: one long table of (key, method, face, value). No other module averages figures."""

import io
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from facerecon.evaluation.keys import MetricKey

COLUMNS = ("face_set", "metric", "case", "level", "method", "face", "value")


@dataclass(frozen=True)
class Summary:
    """Figures of many faces as one: the mean and standard deviation (divided by their number) of the finite ones.

    ``n`` counts all figures, ``infinite`` those that are infinite and so in neither; with no finite figure both are
    None, which is null in JSON.
    """

    mean: float | None
    std: float | None
    n: int
    infinite: int = 0


def summarise(values: Iterable[float]) -> Summary:
    """The ``Summary`` of figures, one a face. Infinite ones are set apart; a NaN, or no figure, is a ValueError."""
    figures = [float(value) for value in values]
    if not figures or any(math.isnan(figure) for figure in figures):
        raise ValueError("there are no figures to summarise" if not figures else "a figure is not a number")
    finite = [figure for figure in figures if math.isfinite(figure)]
    if not finite:
        return Summary(None, None, len(figures), len(figures))
    mean = math.fsum(finite) / len(finite)
    std = math.sqrt(math.fsum((figure - mean) ** 2 for figure in finite) / len(finite))
    return Summary(mean, std, len(figures), len(figures) - len(finite))


@dataclass(frozen=True)
class Figure:
    """A row of ``metrics.json``: what it is of, of which method, and its summary over the faces."""

    key: MetricKey
    method: str
    summary: Summary

    def as_dict(self) -> dict[str, str | int | float | None]:
        """For strict JSON."""
        return {**asdict(self.key), "method": self.method, **asdict(self.summary)}


@dataclass(frozen=True)
class _Column:
    faces: tuple[str, ...]
    values: NDArray[np.float64]


class Scores:
    """The value of each face by key and method. Faces are named by digest, never by a person's name."""

    def __init__(self, columns: dict[tuple[MetricKey, str], _Column] | None = None) -> None:
        self._columns = dict(columns or {})

    def __len__(self) -> int:
        return sum(len(column.faces) for column in self._columns.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Scores) and self.to_frame().equals(other.to_frame())

    def add(self, key: MetricKey, method: str, faces: Iterable[str], values: Iterable[float]) -> None:
        """Append the values of some faces to a key's.

        Raises:
            ValueError: their numbers differ, or a face has a value already.
        """
        new, known = tuple(faces), self._columns.get((key, method), _Column((), np.empty(0)))
        figures = np.asarray(list(values), dtype=np.float64)
        if len(new) != len(figures) or len(set(new)) != len(new) or set(new) & set(known.faces):
            raise ValueError(f"{key} of {method}: one value a face is needed, got {len(figures)} for {len(new)}")
        self._columns[key, method] = _Column(known.faces + new, np.concatenate([known.values, figures]))

    def __or__(self, other: "Scores") -> "Scores":
        return Scores(self._columns | other._columns)

    @property
    def keys(self) -> tuple[MetricKey, ...]:
        """All keys in the order in which they were added."""
        return tuple(dict.fromkeys(key for key, _ in self._columns))

    def methods(self, key: MetricKey) -> tuple[str, ...]:
        """The methods that have values under ``key``."""
        return tuple(method for other, method in self._columns if other == key)

    def faces(self, key: MetricKey, method: str) -> tuple[str, ...]:
        """The faces that have a value, in the order of ``values``. KeyError if there are none."""
        return self._columns[key, method].faces

    def values(self, key: MetricKey, method: str) -> NDArray[np.float64]:
        """The values [N] in the order of ``faces``; a NaN where the method gave no result. KeyError without any."""
        return self._columns[key, method].values

    def levels(self, face_set: str, metric: str, case: str) -> list[int]:
        """The levels of a case, in order."""
        wanted = (face_set, metric, case)
        return sorted({key.level for key in self.keys if (key.face_set, key.metric, key.case) == wanted})

    def over_levels(self, face_set: str, metric: str, case: str, method: str) -> NDArray[np.float64]:
        """Each face's mean [N] over the levels of a case, which all must have the same faces.

        Raises:
            KeyError: the case has no values. ValueError: its levels have different faces.
        """
        keys = [MetricKey(face_set, metric, case, level) for level in self.levels(face_set, metric, case)]
        if not keys:
            raise KeyError(f"no {metric} of {case} on {face_set}")
        if len({self.faces(key, method) for key in keys}) > 1:
            raise ValueError(f"{metric} of {case} on {face_set}: its levels have different faces")
        return np.asarray(np.mean([self.values(key, method) for key in keys], axis=0), dtype=np.float64)

    def mean_over_levels(self, face_set: str, metric: str, case: str, method: str) -> float | None:
        """The mean over faces and levels, each level counting the same; None where one is not finite or missing."""
        levels = self.levels(face_set, metric, case)
        means = [self.mean(MetricKey(face_set, metric, case, level), method) for level in levels]
        known = [mean for mean in means if mean is not None]
        return math.fsum(known) / len(known) if known and len(known) == len(means) else None

    def mean(self, key: MetricKey, method: str) -> float | None:
        """The mean over all faces; None where there is none, or one that is not finite."""
        column = self._columns.get((key, method))
        if column is None or not len(column.values) or not np.isfinite(column.values).all():
            return None
        return math.fsum(column.values) / len(column.values)

    def figures(self) -> list[Figure]:
        """A figure for each key and method, in the order in which they were added. ValueError for a NaN."""
        return [Figure(key, method, summarise(column.values)) for (key, method), column in self._columns.items()]

    def only(self, faces: Collection[str]) -> "Scores":
        """The scores of these faces alone; keys left without any face are gone."""
        columns = {}
        for about, column in self._columns.items():
            kept = [index for index, face in enumerate(column.faces) if face in faces]
            if kept:
                columns[about] = _Column(tuple(column.faces[i] for i in kept), column.values[kept])
        return Scores(columns)

    def without(self, methods: Collection[str]) -> "Scores":
        """The scores of all methods but these."""
        return Scores({about: column for about, column in self._columns.items() if about[1] not in methods})

    def subset(self, face_set: str, faces: Collection[str]) -> "Scores":
        """The scores of these faces alone, under another face set's name; keys left without any face are gone."""
        return Scores(
            {
                (MetricKey(face_set, key.metric, key.case, key.level), method): column
                for (key, method), column in self.only(faces)._columns.items()
            }
        )

    def __iter__(self) -> Iterator[tuple[MetricKey, str]]:
        return iter(self._columns)

    def to_frame(self) -> pd.DataFrame:
        """The long table with COLUMNS."""
        rows = [
            (key.face_set, key.metric, key.case, key.level, method, face, value)
            for (key, method), column in self._columns.items()
            for face, value in zip(column.faces, column.values, strict=True)
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    @classmethod
    def from_frame(cls, frame: pd.DataFrame) -> "Scores":
        """The scores in a table with COLUMNS."""
        scores = cls()
        for about, rows in frame.groupby(list(COLUMNS[:5]), sort=False):
            face_set, metric, case, level, method = cast(tuple[str, str, str, int, str], about)
            scores.add(MetricKey(face_set, metric, case, int(level)), method, rows["face"], rows["value"])
        return scores

    def to_bytes(self) -> bytes:
        """The content of a parquet file."""
        stream = io.BytesIO()
        self.to_frame().to_parquet(stream)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Scores":
        """The scores in a parquet file's content."""
        return cls.from_frame(pd.read_parquet(io.BytesIO(content)))
