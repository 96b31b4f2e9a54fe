"""What is collected out of an inbox. Imports no torch."""

from pydantic import Field

from facerecon.data.settings import FootageSettings, SplitShares
from facerecon.settings import Settings, Share


class CollectSettings(Settings):
    """Which faces of new clips are kept, and in which split new people are.

    ``min_quality`` is asked of the score of ``facerecon.data.footage.selection``. ``innocents_lost`` is the share of
    new tracks whose people are in no other split that may be left out because they look like somebody who is.
    """

    licence: str = Field("footage of your own, no licence stated", min_length=1, max_length=1000)
    min_quality: Share = 0.55
    min_seen: int = Field(
        3, ge=1, le=1000, description="frames a face must be followed through: a glimpse tells nobody"
    )
    footage: FootageSettings = Field(default_factory=FootageSettings)
    splits: SplitShares = Field(default_factory=lambda: SplitShares(train=0.6, val=0.1, gate=0.15, test=0.15))
    innocents_lost: float = Field(0.05, gt=0, le=0.5)
    most_left_out: float = Field(0.2, gt=0, le=1, description="of new tracks; the run stops if more would be")
