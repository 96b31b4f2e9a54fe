"""How people are told what a retraining did."""

from pydantic import Field

from facerecon.settings import Settings


class TellingSettings(Settings):
    """Where a retraining's outcome is posted, where the stack has no alerter of its own."""

    webhook: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="environment variable that holds the address, which is a secret; null: only the log tells",
    )
    retries: int = Field(3, ge=0, le=10, description="further tries, after 1, 2, 4 … seconds")
