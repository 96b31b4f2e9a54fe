"""When a cron expression is due, in local time: each slot once, be the clock set forward or back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import takewhile

from croniter import CroniterError, croniter

from facerecon.errors import FaceReconError

_LEAP = timedelta(hours=3)
"""No clock is set forward or back by more."""

_CHANCE = re.compile(r"(^|[\s,])[hr]([\s,(/]|$)", re.IGNORECASE)
"""What croniter draws by lot."""

NEAREST_WEEKDAY = re.compile(r"\dw|w\d", re.IGNORECASE)
"""The weekday that is nearest to a day of the month."""


@dataclass(frozen=True)
class Cron:
    """An expression of five fields; where both days are given, either will do, as with cron.

    A slot is a time on the wall. One that the clock shows twice is due the first time; one that it leaves out is due
    when it is set forward. Instants are in seconds since 1970; ``zone`` None is the machine's.
    """

    text: str
    zone: tzinfo | None = None

    @classmethod
    def parse(cls, text: str, zone: tzinfo | None = None) -> "Cron":
        """A checked expression.

        Raises:
            FaceReconError: it is none, or is never due.
        """
        help_text = 'expected minute, hour, day of month, month and day of week, as in "0 3 * * *"'
        try:
            if _CHANCE.search(text):
                raise ValueError("fields that are drawn by lot (H, R) are not taken")
            fields, _ = croniter.expand(text)
            if len(fields) != 5:
                raise ValueError(f"{len(fields)} fields")
            croniter(text, datetime(2001, 1, 1)).get_next(datetime)
        except (CroniterError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise FaceReconError(f"--cron {text!r}: {str(error).rstrip('.')}: {help_text}") from error
        return cls(" ".join(text.split()), zone)

    def due(self, now: float) -> float:
        """The latest slot that is not after ``now``."""
        return next(slot for slot in self._slots(now, back=True) if slot <= now)

    def next(self, now: float) -> float:
        """The first slot after ``now``."""
        return next(slot for slot in self._slots(now, back=False) if slot > now)

    def count(self, after: float, until: float) -> int:
        """How many slots there are after the one instant, up to the other."""
        return sum(1 for slot in takewhile(lambda slot: slot <= until, self._slots(after, back=False)) if slot > after)

    def plain(self) -> str:
        """The expression in numbers and lists, as each cron knows it.

        Raises:
            FaceReconError: not each can say it.
        """
        fields, nth = croniter.expand(self.text)
        if nth or "l" in fields[2] or NEAREST_WEEKDAY.search(self.text):
            raise FaceReconError(
                f"--cron {self.text!r}: cron knows no last day and no nth weekday: give numbers and lists"
            )
        return " ".join(",".join(map(str, field)) for field in fields)

    def shown(self, instant: float) -> str:
        """An instant as people read it."""
        return datetime.fromtimestamp(instant, self.zone).strftime("%a %Y-%m-%d %H:%M")

    def _slots(self, around: float, back: bool) -> Iterator[float]:
        start = datetime.fromtimestamp(around, self.zone).replace(tzinfo=None, microsecond=0)
        moves = croniter(self.text, start + (_LEAP if back else -_LEAP))
        before = None
        while True:
            wall = moves.get_prev(datetime) if back else moves.get_next(datetime)
            if (slot := self._instant(wall)) != before:
                yield slot
            before = slot

    def _instant(self, wall: datetime) -> float:
        """When the clock shows ``wall`` first, or jumps over it."""
        late, early = (wall.replace(tzinfo=self.zone, fold=fold).timestamp() for fold in (0, 1))
        if late <= early:
            return late
        # left out: the clock is set forward between these two
        while late - early > 1:
            middle = (late + early) // 2
            if datetime.fromtimestamp(middle, self.zone).replace(tzinfo=None) >= wall:
                late = middle
            else:
                early = middle
        return late
