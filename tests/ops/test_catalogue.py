"""The registered models as people read them."""

import numpy as np
import pytest

from facerecon.errors import FaceReconError
from ops.catalogue import all_versions, lineage
from ops.promotion import promote_by_hand, rollback


def test_every_version_is_listed_with_what_matters(offer, make_figures):
    offer(1, 20.0)
    offer(2, 21.0)
    broken = make_figures(20.0)
    next(iter(broken.values.values()))[0] = np.nan
    offer(3, broken, config="lfw", data_licence="unknown")
    demo2, demo1, lfw = all_versions()
    assert (demo2.config, demo2.version, demo2.aliases) == ("demo", 2, ("challenger", "champion"))
    assert (demo1.version, demo1.aliases) == (1, ())
    assert (demo2.hole_psnr, demo2.lpips, demo2.identity) == pytest.approx((19.0, 0.2, 0.6))
    assert (demo2.data, demo2.licence) == ("m" * 12, "MIT")
    assert demo2.created.endswith("UTC")
    assert "+1.000 dB" in demo2.decision
    assert (lfw.hole_psnr, lfw.licence, lfw.aliases) == (None, "unknown", ("challenger",))


def test_lineage_walks_from_the_version_to_all_that_made_it(offer, make_model):
    for seed, score in ((1, 20.0), (2, 21.0), (3, 22.0)):
        offer(seed, score)
    rollback("demo", "it smears")
    told = dict(lineage("demo/3"))
    assert dict(told["version"])["stands so because"] == "rolled back by hand: it smears"
    assert dict(told["version"])["aliases"] == "challenger"
    assert dict(told["run"])["name"] == "demo-run"
    assert dict(told["code"])["git_commit"] == "c0ffee"
    assert dict(told["code"])["code_digest.train"] == "beef"
    assert dict(told["data"]) == {
        **{"data_licence": "MIT", "data_dvc_digest": "d5c.dir"},
        **{"manifest_digest": "m" * 64, "masks_digest": "unknown"},
    }
    weights = dict(told["weights"])
    assert weights["digest"] == make_model(3).digest
    assert weights["state"] == "there, and those that were registered"
    decision = told["gate decision"]
    assert ("champion before", "version 2") in decision
    assert sum(name == "met" for name, _ in decision) == 11
    assert [name for name, _ in told["champions"]] == ["version 2 (present)", "version 1"]
    assert "version 2 rolled back (by hand): it smears (champion 3 -> 2)" in told["journal"][-1][1]
    assert len(told["journal"]) == 4


def test_lineage_says_what_is_gone(offer):
    import mlflow

    offer(1, 20.0)
    offer(2, 10.0)
    promote_by_hand("2", "a try")
    client = mlflow.MlflowClient()
    client.delete_model_version("facerecon-demo", "1")
    (offer.state / "weights-2.safetensors").unlink()
    told = dict(lineage("2"))
    assert told["champions"][1] == ("version 1", "no longer registered")
    assert "are gone" in dict(told["weights"])["state"]
    assert any(name == "NOT MET" for name, _ in told["gate decision"])
    with pytest.raises(FaceReconError, match="demo has no version 1"):
        lineage("demo/1")
