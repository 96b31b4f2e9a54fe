"""The table of quality: gains are over the stronger plain recipe of each figure."""

from typing import Any

import pytest

from benchmarks.quality import main, table

MEANS = {
    # method: hole PSNR, LPIPS, identity
    "plain": (19.0, 0.150, 0.90),
    "plain_tuned": (19.5, 0.160, 0.88),
    "ours": (20.0, 0.120, 0.91),
}


def result() -> dict[str, Any]:
    metrics = ("hole_psnr", "lpips", "identity")
    names = {"family": "brush", "level": 2}
    rows = [
        {"method": method, **names, **{m: {"mean": value} for m, value in zip(metrics, values, strict=True)}}
        for method, values in MEANS.items()
    ]
    gains = []
    for other in ("plain", "plain_tuned"):
        means = [ours - theirs for ours, theirs in zip(MEANS["ours"], MEANS[other], strict=True)]
        intervals = [{"mean": mean, "low": mean - 0.5, "high": None} for mean in means]
        gains.append({"over": other, **names, **dict(zip(metrics, intervals, strict=True))})
    recipe = {"steps": 10, "minutes": 15.0, "images_per_second": 40.0, "gmac": 0.19, "rate": 1e-3}
    found = {"faces": 64, "identities": 53, "rows": rows, "gains": gains}
    return {"recipes": {"ours": recipe | {"precision": "32-true"}}, "sets": {"people never seen": found}}


def test_gains_are_over_the_stronger_plain_recipe_of_each_figure() -> None:
    lines = [line for line in table(result()).splitlines() if line.startswith("| brush 2")]
    assert lines == [
        "| brush 2 | 19.00 | 19.50 | 20.00 | +0.50 (+0.00) |",
        "| brush 2 | 0.150 | 0.160 | 0.120 | -0.030 (-0.530) |",
        "| brush 2 | 0.900 | 0.880 | 0.910 | +0.010 (-0.490) |",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipes", "plain,ours_thrid"], "'ours_thrid' not among plain, plain_tuned, ours"),
        (["--family", "unet_attention", "--recipes", "ours_small"], "ours_small: settings.model: variant 'small' of"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["quality", *arguments, "--photos", "/nowhere"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
