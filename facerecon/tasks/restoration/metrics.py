"""The metrics of restoration beside those of all images. Imports no torch."""

from facerecon.evaluation.keys import Metric


def rank_one(network: str) -> Metric:
    """1 if, in a gallery of one clean photo a person, the nearest one by this identity network is of that person."""
    return Metric(name=f"rank1_{network}", label="rank 1", judge=network)
