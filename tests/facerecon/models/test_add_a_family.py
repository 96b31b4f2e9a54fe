"""The family of docs/add-a-family.md is found, built, run and exported as it stands there."""

import re
from pathlib import Path

import numpy as np
import torch
import yaml

from facerecon.export.onnx import to_onnx
from facerecon.models import build_model, list_models
from facerecon.models.trained import TrainedModel
from facerecon.run import parse_settings
from facerecon.sessions import open_session
from facerecon.tasks import get_task

GUIDE = Path(__file__).parents[3] / "docs" / "add-a-family.md"


def test_the_family_of_the_guide_is_built_run_and_exported(package: Path) -> None:
    blocks = dict(re.findall(r"```(\w+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))
    (package / "plain.py").write_text(blocks["python"], encoding="utf-8")
    assert "plain" in list_models()

    chosen = parse_settings(yaml.safe_load(blocks["yaml"]), "docs/add-a-family.md").model
    assert (chosen.family, chosen.variant, chosen.options.model_dump()) == ("plain", "wide", {"width": 48})
    model = build_model(chosen.family, chosen.options).eval()
    image, mask = torch.rand(2, 3, 17, 40) * 2 - 1, torch.zeros(2, 1, 17, 40)
    mask[..., 3:9, 5:20] = 1
    with torch.no_grad():
        output = model(image, mask)
    known = (mask == 0).expand_as(image)
    assert torch.equal(output.reconstruction[known], image[known])
    assert not torch.equal(output.reconstruction, image)

    trained = TrainedModel(chosen.family, chosen.options.model_dump(), 64, 1, dict(model.state_dict()))
    task = get_task("inpainting")
    content = to_onnx(task.contract(trained), task.signature, task.signature.zeros(N=2, H=64, W=64), {})
    session = open_session(content, 1)
    exported = session.run(["reconstruction"], {"image": image.numpy(), "mask": mask.numpy()})[0]
    np.testing.assert_allclose(exported, output.reconstruction.numpy(), atol=1e-5)
