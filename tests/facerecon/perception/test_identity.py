"""Identity networks: SFace is the ONNX file's function, dlib's and FaceNet their packages', all through the warp."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from facerecon.errors import FaceReconError
from facerecon.perception import identity
from facerecon.perception.dlib import DlibResNet
from facerecon.perception.facenet import FaceNet
from facerecon.perception.identity import IdentityNetwork, identity_names, load_identity, load_teacher, register
from facerecon.perception.landmarks import FaceLandmarker, five_points
from facerecon.perception.sface import SFace
from facerecon.perception.warp import warp
from facerecon.weights import weights_path

LFW = Path(__file__).parents[4] / "shared" / "data" / "lfw"


@pytest.fixture(scope="module")
def sface() -> IdentityNetwork:
    """SFace, loaded once."""
    return load_identity("sface")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX file with the weights that it lists as inputs made constants, as other runtimes need it."""
    model = onnx.load(weights_path("sface"))
    image = next(entry for entry in model.graph.input if entry.name == "data")
    del model.graph.input[:]
    model.graph.input.append(image)
    path = tmp_path_factory.mktemp("sface") / "bare.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def session(bare: Path) -> onnxruntime.InferenceSession:
    """The file itself in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(bare, options, providers=["CPUExecutionProvider"])


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registrations of a test are forgotten after it."""
    monkeypatch.setattr(identity, "_REGISTRY", dict(identity._REGISTRY))


def _images(count: int, size: int, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(-1, 1)


def test_sface_equals_onnx_runtime(sface: IdentityNetwork, session: onnxruntime.InferenceSession) -> None:
    crops = torch.cat([_images(3, 112), torch.full((1, 3, 112, 112), -1.0), torch.rand(1, 3, 112, 112) * 2 - 1])
    values = (crops * 127.5 + 127.5).numpy()
    expected = np.concatenate([session.run(None, {"data": value[None]})[0] for value in values])

    actual = sface.network(crops).numpy()

    assert actual.shape == (5, 128)
    np.testing.assert_allclose(actual, expected, atol=2e-5)
    cosine = (actual * expected).sum(1) / np.linalg.norm(actual, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosine.min() > 0.9999


def test_sface_equals_opencv_from_photo_to_embedding(sface: IdentityNetwork, bare: Path) -> None:
    reference = cv2.FaceRecognizerSF.create(str(bare), "")
    rgb = ((_images(1, 160)[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
    generator = np.random.default_rng(0)
    # OpenCV counts from the centre of the first pixel
    points = (sface.template.numpy() - 0.5) * 0.9 + [20, 25] + generator.normal(size=(5, 2))
    face = np.zeros((1, 15), np.float32)
    face[0, 4:14] = points.reshape(-1)
    crop = reference.alignCrop(rgb[..., ::-1].copy(), face)
    expected = reference.feature(crop)[0]

    image = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1
    fives = torch.from_numpy(points + 0.5)[None].float()
    placed = warp(image, fives, sface.template, 112)[0].permute(1, 2, 0).numpy() * 127.5 + 127.5
    actual = sface.embed(image, fives)[0].numpy()

    # OpenCV rounds its crop to whole values
    assert np.abs(placed - crop[..., ::-1]).max() < 1.5
    assert actual @ expected / np.linalg.norm(expected) > 0.999


def test_embeddings_are_of_unit_length_and_of_each_face_alone(sface: IdentityNetwork) -> None:
    images = _images(5, 64)
    points = sface.template.expand(5, 5, 2) * 0.57 + torch.arange(5)[:, None, None] * 0.7

    together = sface(images, points)

    assert together.shape == (5, sface.dimensions)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(5))
    alone = torch.cat([sface.embed(images[i : i + 1], points[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_the_points_bring_the_face_to_the_template(sface: IdentityNetwork) -> None:
    crop = _images(1, 112)
    larger = torch.nn.functional.pad(crop, (20, 30, 7, 11), value=-1)
    points = sface.template[None] + torch.tensor([20.0, 7.0])

    expected = torch.nn.functional.normalize(sface.network(crop))

    assert (sface.embed(larger, points) * expected).sum() > 0.9999


def test_the_gradient_reaches_the_image_and_only_it(sface: IdentityNetwork) -> None:
    images = _images(2, 64).requires_grad_()
    points = (sface.template * 0.57)[None].repeat(2, 1, 1)
    target = sface.embed(_images(2, 64, seed=1), points)

    loss = (1 - (sface.embed(images, points) * target).sum(1)).sum()
    loss.backward()

    assert images.grad is not None
    assert not any(p.requires_grad for p in sface.parameters())
    direction = images.grad / images.grad.norm()
    step = 1e-2
    with torch.no_grad():
        ahead, behind = (
            (1 - (sface.embed(images + sign * step * direction, points) * target).sum(1)).sum() for sign in (1, -1)
        )
    # along the gradient the slope is its length
    assert ((ahead - behind) / (2 * step)).item() == pytest.approx(images.grad.norm().item(), rel=0.05)


def test_one_person_is_closer_than_two(sface: IdentityNetwork) -> None:
    if not LFW.is_dir():
        pytest.skip("LFW is not beside the project (../shared/data/lfw)")
    people = [folder for folder in sorted(LFW.iterdir()) if len(list(folder.glob("*.jpg"))) >= 2][:60:5]
    embeddings = []
    with FaceLandmarker(weights_path("face_landmarker")) as landmarker:
        for person in people:
            for path in sorted(person.glob("*.jpg"))[:2]:
                pixels = np.array(Image.open(path).convert("RGB"))
                centre = np.array(pixels.shape[1::-1]) / 2
                faces = [five_points(points) for points, _ in landmarker.detect(pixels)]
                points = min(faces, key=lambda five: float(np.hypot(*(five.mean(0) - centre))))
                image = torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1
                embeddings.append(sface.embed(image[None], torch.from_numpy(points)[None]))
    first, second = torch.cat(embeddings[::2]), torch.cat(embeddings[1::2])
    cosines = first @ second.T
    same = cosines.diagonal()
    other = cosines[~torch.eye(len(people), dtype=torch.bool)]

    assert len(people) == 12
    assert same.mean() > 0.5
    assert other.mean().abs() < 0.15
    # 12 of the same and 132 of others, at the published threshold
    assert (same > 0.363).float().mean() >= 11 / 12
    assert (other < 0.363).float().mean() >= 0.97


def test_another_onnx_file_is_refused(tmp_path: Path) -> None:
    model = onnx.load(weights_path("sface"))
    del model.graph.node[-1]
    onnx.save(model, tmp_path / "other.onnx")

    with pytest.raises(FaceReconError, match="not SFace"):
        SFace(tmp_path / "other.onnx")


def _photo(size: int) -> np.ndarray:
    return np.ascontiguousarray(((_images(1, size)[0].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8))


def test_dlibs_network_equals_dlib() -> None:
    package = pytest.importorskip("dlib")
    theirs = package.face_recognition_model_v1(str(weights_path("dlib")))
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    crops = [_photo(150), noise, np.zeros((150, 150, 3), np.uint8), _photo(150)[:, ::-1].copy()]
    expected = np.array(theirs.compute_face_descriptor(crops))

    ours = load_identity("dlib")
    actual = ours.network(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1)

    assert actual.shape == (4, ours.dimensions)
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    assert np.abs(expected[0] - expected[3]).max() > 0.01, "the mirrored image is another"


DLIBS_MEAN_FACE = np.array(
    [
        *((0.490127, 0.203352), (0.490127, 0.307009), (0.490127, 0.409805), (0.490127, 0.515625)),
        *((0.36688, 0.587326), (0.426036, 0.609345), (0.490127, 0.628106), (0.554217, 0.609345), (0.613373, 0.587326)),
        *((0.121737, 0.216423), (0.187122, 0.178758), (0.265825, 0.179852)),
        *((0.334606, 0.231733), (0.260918, 0.245099), (0.182743, 0.244077)),
        *((0.645647, 0.231733), (0.714428, 0.179852), (0.793132, 0.178758)),
        *((0.858516, 0.216423), (0.79751, 0.244077), (0.719335, 0.245099)),
        *((0.254149, 0.780233), (0.340985, 0.745405), (0.428858, 0.727388), (0.490127, 0.742578)),
        *((0.551395, 0.727388), (0.639268, 0.745405), (0.726104, 0.780233)),
        *((0.290379, 0.784792), (0.428096, 0.778746), (0.490127, 0.785343), (0.552157, 0.778746), (0.689874, 0.784792)),
    ]
)
"""Points 27 to 54 and 60 to 64 of the 68, by which ``dlib.get_face_chip`` aligns, as shares of the face's width."""


def test_dlibs_crop_is_cut_where_dlib_cuts_it() -> None:
    package, network = pytest.importorskip("dlib"), load_identity("dlib")
    photo = cv2.resize(np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8), (300, 300))
    image = torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 127.5 - 1
    errors = []
    for angle, scale, x, y in ((0.2, 150, 60, 70), (-0.1, 110, 120, 90), (0.0, 140, 90, 83)):
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = np.zeros((68, 2))
        # dlib takes whole pixels, counted from the centre of the first
        points[[*range(27, 55), *range(60, 65)]] = np.round(DLIBS_MEAN_FACE @ turn.T + [x, y])
        found = [package.point(*map(int, point)) for point in points]
        face = package.full_object_detection(package.rectangle(0, 0, 299, 299), found)
        chip = package.get_face_chip(photo, face, 150, 0.25)
        five = np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]) + 0.5
        row = []
        for offset in ((0, 0), (0.5, 0.5), (-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5)):
            fives = torch.from_numpy(five + offset)[None].float()
            crop = warp(image, fives, network.template, 150)[0].permute(1, 2, 0).numpy() * 127.5 + 127.5
            row.append(np.abs(crop - chip).mean())
        errors.append(row)
    here, *moved = np.mean(errors, axis=0)
    assert here < 0.6 * min(moved), "half a pixel aside is another crop"


def test_dlibs_embeddings_keep_their_length_until_they_are_compared() -> None:
    network = load_identity("dlib")
    images, points = _images(2, 64), (network.template / 150 * 64).expand(2, 5, 2)
    described, embedded = network.describe(images, points), network.embed(images, points)
    assert (described.norm(dim=1) > 1.1).all()
    torch.testing.assert_close(embedded, described / described.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("damage", [lambda c: b"", lambda c: c[:-9_000_000], lambda c: c[300_000:]])
def test_a_file_that_is_not_dlibs_network_is_refused(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (tmp_path / "other.dat").write_bytes(damage(weights_path("dlib").read_bytes()))
    with pytest.raises(FaceReconError, match="is not dlib's face recognition network"):
        DlibResNet(tmp_path / "other.dat")


def test_a_network_that_judges_only_is_refused_as_a_loss() -> None:
    with pytest.raises(FaceReconError, match=r"'dlib' judges only and cannot be a loss: choose one of facenet, sface$"):
        load_teacher("dlib")
    assert load_teacher("sface").name == "sface"
    with pytest.raises(FaceReconError, match="choose one of dlib, facenet, sface"):
        load_teacher("arcface")


def test_facenet_reads_a_state_dict_with_or_without_its_classifier(tmp_path: Path) -> None:
    from facenet_pytorch import InceptionResnetV1

    torch.manual_seed(0)
    theirs = InceptionResnetV1(pretrained=None).eval()
    state = theirs.state_dict() | {"logits.weight": torch.zeros(3, 512), "logits.bias": torch.zeros(3)}
    torch.save(state, tmp_path / "facenet.pt")

    ours = FaceNet(tmp_path / "facenet.pt").eval()
    image = _images(1, 160)
    values = image * 127.5 + 127.5

    torch.testing.assert_close(ours.network(image), theirs((values - 127.5) / 128), atol=1e-5, rtol=0)
    embedding = ours.embed(_images(2, 90), ours.template.expand(2, 5, 2) * 0.5)
    assert embedding.shape == (2, ours.dimensions)


def test_facenet_without_weights_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACERECON_FACENET_WEIGHTS", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(FaceReconError, match="set FACERECON_FACENET_WEIGHTS"):
        load_identity("facenet")


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("ran",))


@pytest.mark.parametrize("content", [{"weight": torch.zeros(1)}, _Harmful(), [1]])
def test_facenet_refuses_another_file(
    content: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(content, tmp_path / "other.pt")
    monkeypatch.setenv("FACERECON_FACENET_WEIGHTS", str(tmp_path / "other.pt"))

    with pytest.raises(FaceReconError, match="holds no weights"):
        load_identity("facenet")
    assert "ran" not in capsys.readouterr().out


def test_an_unknown_network_is_answered_with_the_known_ones() -> None:
    assert {"dlib", "facenet", "sface"} <= set(identity_names())
    with pytest.raises(FaceReconError, match=r"choose one of dlib, facenet, sface"):
        load_identity("arcface")


def test_a_new_network_costs_one_class(registry: None) -> None:
    @register
    class Mean(IdentityNetwork):
        name = "mean"
        input_size = 8
        dimensions = 3
        licence = "MIT"

        def __init__(self) -> None:
            super().__init__()
            self.factor = torch.nn.Parameter(torch.ones(1))
            self.register_buffer("template", torch.tensor([[2.0, 2], [6, 2], [4, 4], [2.5, 6], [5.5, 6]]))

        def network(self, crops: torch.Tensor) -> torch.Tensor:
            return crops.mean((2, 3)) * self.factor

    network = load_identity("mean")
    images = _images(2, 20) * 0.1 + 0.5
    points = (network.template * 2)[None].repeat(2, 1, 1)

    assert not network.training
    assert not network.factor.requires_grad
    expected = torch.nn.functional.normalize(warp(images, points, network.template, 8).mean((2, 3)))
    torch.testing.assert_close(network.embed(images, points), expected)
