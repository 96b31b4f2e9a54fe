"""The base of everything that is configured."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of all settings: immutable, strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)
