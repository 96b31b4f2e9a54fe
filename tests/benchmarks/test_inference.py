"""The table of backends, and the model that they run."""

import torch

from benchmarks.inference import table, untrained, without_confidence


def row(model: str, backend: str, ms: float) -> dict[str, object]:
    spread = {"5": ms - 1, "50": ms, "95": ms + 3}
    names = {"model": model, "backend": backend, "size": 128, "ms": spread}
    return {**names, "mib": 200.0, "file_bytes": 2_500_000}


def test_speedups_are_over_the_first_model_run_eagerly() -> None:
    rows = [
        row("plain", "eager", 40),
        row("plain", "onnxruntime", 20),
        row("ours", "eager", 50),
        row("ours", "int8", 8),
    ]
    models = {"plain": {"size": 64}, "ours": {"size": 64}}
    drops = {"ours": {"int8": 0.0421}}
    lines = table({"models": models, "rows": rows, "faces": 32, "hole_psnr_drop_db": drops}).splitlines()
    assert lines[2:] == [
        "| 128 px | plain | eager | 39.0 / 40.0 / 43.0 | 1.00 | 200 | 2.5 |",
        "| 128 px | plain | onnxruntime | 19.0 / 20.0 / 23.0 | 2.00 | 200 | 2.5 |",
        "| 128 px | ours | eager | 49.0 / 50.0 / 53.0 | 0.80 | 200 | 2.5 |",
        "| 128 px | ours | int8 | 7.0 / 8.0 / 11.0 | 5.00 | 200 | 2.5 |",
        "",
        "Drop of hole PSNR of ours, on 32 faces of 64 px: int8 0.042 dB.",
    ]


def test_without_an_eager_run_there_is_no_speedup() -> None:
    rows = [row("plain", "onnxruntime", 20)]
    assert "| 19.0 / 20.0 / 23.0 |  | 200 |" in table({"models": {"plain": {}}, "rows": rows, "hole_psnr_drop_db": {}})


def test_without_its_confidence_a_model_reconstructs_the_same() -> None:
    model = untrained("unet_fill", 64)
    image, mask = torch.rand(1, 3, 64, 64), torch.ones(1, 1, 64, 64)
    bare = without_confidence(model)
    with torch.no_grad():
        full, less = (each.build()(image, mask) for each in (model, bare))
    assert torch.equal(full.reconstruction, less.reconstruction)
    assert full.confidence_logits is not None
    assert less.confidence_logits is None
    assert without_confidence(bare) is bare
