"""Randomness as a function of named things, never of global state or of call order."""

import hashlib

import numpy as np


def generator(*keys: int | str) -> np.random.Generator:
    """A generator that depends on ``keys`` alone, for example ``generator(seed, epoch, sample_id, "mask")``."""
    digest = hashlib.sha256("\x1f".join(f"{type(key).__name__}:{key}" for key in keys).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def unit_interval(*keys: int | str) -> float:
    """A number in [0, 1) that depends on ``keys`` alone; uniform over different keys."""
    digest = hashlib.sha256("\x1f".join(f"{type(key).__name__}:{key}" for key in keys).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
