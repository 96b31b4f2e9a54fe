"""The page in a browser, which may speak to the service and to nobody else."""

import base64
import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from facerecon.custody.signed import check, loads
from facerecon.images import read_rgb
from facerecon.inference.media import decode_mask
from facerecon.marks import is_marked_picture
from serving.settings import ServeSettings
from tests.conftest import skip_without
from tests.serving.client import Running, serving
from tests.serving.conftest import png
from tests.serving.test_live import clip_of

GIF = Path(__file__).parents[3] / "shared/data/footage/head-pose-face-detection-male.gif"
BROWSERS = "chromium", "chromium-browser", "google-chrome"


@dataclass
class Seen:
    """What a browser has asked for elsewhere, and what it complained of."""

    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    program = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    absent = [] if program else ["chromium"]
    if importlib.util.find_spec("playwright") is None:
        absent.append("playwright")
    skip_without(absent, "apt-get install chromium; make install")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@contextmanager
def page_of(browser: Any, service: Running, **about: Any) -> Iterator[Any]:
    """A page that is let in by the service's token; at its end nothing was asked elsewhere, and nothing complained."""
    home, seen = f"http://127.0.0.1:{service.port}/", Seen()

    def only_home(route: Any) -> None:
        if route.request.url.startswith((home, "blob:", "data:")):
            route.continue_()
        else:
            seen.elsewhere.append(route.request.url)
            route.abort()

    def called(socket: Any) -> None:
        if not socket.url.startswith(home.replace("http", "ws")):
            seen.elsewhere.append(socket.url)

    def complained(message: Any) -> None:
        # an error's status is told by the browser, too
        if message.type in ("error", "warning") and "status of 4" not in message.text:
            seen.complaints.append(message.text)

    context = browser.new_context(service_workers="block", **about)
    context.route("**/*", only_home)
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.on("console", complained)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("websocket", called)
    page.goto(home)
    page.get_by_label("Token").fill(service.token)
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(home)
    yield page
    context.close()
    assert seen == Seen()


@pytest.fixture
def page(browser: Any, service: Running) -> Iterator[Any]:
    with page_of(browser, service, viewport={"width": 1200, "height": 900}) as opened:
        yield opened


@pytest.fixture
def given(tmp_path: Path, photo: bytes) -> Path:
    """The drawn photograph's file."""
    path = tmp_path / "photo.png"
    path.write_bytes(photo)
    return path


def load(page: Any, path: Path) -> None:
    page.locator("#photo-file").set_input_files(str(path))
    page.locator("#face-list label").first.wait_for()


def saved(page: Any, button: str) -> tuple[str, bytes]:
    """What a button has the browser save: its name and content."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button, exact=True).click()
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def hidden_of(page: Any) -> np.ndarray:
    """The mask, as it is downloaded."""
    name, content = saved(page, "Download mask")
    assert name == "mask.png"
    return decode_mask(content, name).hidden


def made_of(page: Any) -> np.ndarray:
    """The reconstruction, as it is saved."""
    page.get_by_role("button", name="Reconstruct", exact=True).click()
    page.locator("#result-view").wait_for()
    name, content = saved(page, "Save picture")
    assert name.startswith("reconstruction-")
    assert is_marked_picture(content)
    return read_rgb(content)


def says(page: Any, text: str) -> None:
    page.locator("#status", has_text=text).wait_for()


def fails(page: Any, text: str) -> None:
    """An error is shown and announced."""
    page.get_by_role("alert").filter(has_text=text).wait_for()


def test_what_is_painted_and_nothing_else_is_filled(page: Any, given: Path) -> None:
    load(page, given)
    box = page.locator("#mask").bounding_box()

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + box["width"] * x / 256, box["y"] + box["height"] * y / 256

    page.mouse.move(*at(110, 140))
    page.mouse.down()
    page.mouse.move(*at(150, 150), steps=5)
    page.mouse.up()
    painted = hidden_of(page)
    assert painted.shape == (256, 256)
    assert painted[140, 110]
    assert painted[145, 130]
    assert not painted[40, 40]
    page.get_by_text("Erase", exact=True).click()
    page.mouse.move(*at(150, 150))
    page.mouse.down()
    page.mouse.up()
    erased = hidden_of(page)
    assert not erased[150, 150]
    assert erased[140, 110]
    page.get_by_role("button", name="Undo").click()
    assert (hidden_of(page) == painted).all()
    page.get_by_role("button", name="Redo").click()
    assert (hidden_of(page) == erased).all()
    original, made = read_rgb(given), made_of(page)
    assert (made == original)[~erased].all()
    assert (made != original)[erased].any()
    assert "guess" in page.locator("#statement").text_content()
    name, record = saved(page, "Save record")
    assert check(loads(record.decode()))
    sheet, content = saved(page, "Save sheet")
    assert (name.removesuffix(".json"), is_marked_picture(content)) == (sheet.removesuffix(".sheet.png"), True)
    # compared and looked at by keys
    page.locator("#split").focus()
    page.keyboard.press("Home")
    assert page.locator("#original").evaluate("each => each.style.clipPath") == "inset(0px 100% 0px 0px)"
    page.locator("#layer").focus()
    page.keyboard.press("End")
    assert page.locator("#confidence").evaluate("each => each.style.opacity") == "1"


def test_a_mask_is_painted_and_used_by_keys_alone(page: Any, given: Path) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "tab-photo"
    load(page, given)
    assert page.evaluate("document.activeElement.id") == "mask"
    page.keyboard.down("Space")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.up("Space")
    painted = hidden_of(page)
    assert painted[128, 128]
    rows, columns = np.nonzero(painted)
    assert np.ptp(columns) > np.ptp(rows) + 10
    page.locator("#mask").focus()
    page.keyboard.press("e")
    page.keyboard.press("Space")
    assert hidden_of(page).sum() < painted.sum()
    page.locator("#mask").focus()
    page.keyboard.press("Control+z")
    assert (hidden_of(page) == painted).all()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "make":
            break
    page.keyboard.press("Enter")
    page.locator("#result-view").wait_for()


def test_a_region_is_a_mask_that_can_be_changed(page: Any, given: Path) -> None:
    load(page, given)
    page.locator("#photo-regions").get_by_role("button", name="Mouth").click()
    says(page, "is hidden by it")
    mouth = hidden_of(page)
    page.locator("#photo-regions").get_by_role("button", name="Eyes").click()
    says(page, "Eyes: ")
    both = hidden_of(page)
    assert both[mouth].all()
    assert both.sum() > mouth.sum() > 100
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Reconstruct", exact=True).click()
    fails(page, "Nothing is hidden yet")
    page.get_by_role("button", name="Undo").click()
    original, made = read_rgb(given), made_of(page)
    assert (made == original)[~both].all()


def test_an_uploaded_mask_is_taken_as_it_is(page: Any, given: Path, mask: bytes, tmp_path: Path) -> None:
    load(page, given)
    (tmp_path / "mask.png").write_bytes(mask)
    (tmp_path / "small.png").write_bytes(png(np.full((20, 30), 255, np.uint8)))
    page.locator("#mask-file").set_input_files(str(tmp_path / "mask.png"))
    says(page, "The mask was taken")
    assert (hidden_of(page) == decode_mask(mask, "").hidden).all()
    page.locator("#mask-file").set_input_files(str(tmp_path / "small.png"))
    fails(page, "small.png: the mask has 30 x 20 pixels; expected those of the photo as it is shown, 256 x 256")
    assert (hidden_of(page) == decode_mask(mask, "").hidden).all()


def test_a_photo_is_restored_without_a_mask_by_keys_alone(page: Any, given: Path) -> None:
    load(page, given)
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "restore":
            break
    page.keyboard.press("Enter")
    page.locator("#result-view").wait_for()
    says(page, "Restored: a guess")
    assert page.locator("#made-name").text_content() == "Restored"
    assert "Restored: faces were redrawn" in page.locator("#statement").text_content()
    assert "Hidden" not in page.locator("#facts").text_content()
    name, content = saved(page, "Save picture")
    assert name.startswith("restoration-")
    assert is_marked_picture(content)
    original, made = read_rgb(given), read_rgb(content)
    assert (made == original).all(-1).any()
    assert (made != original).any(-1).mean() > 0.2
    sheet, _ = saved(page, "Save sheet")
    record, text = saved(page, "Save record")
    assert check(loads(text.decode()))
    assert sheet.removesuffix(".sheet.png") == record.removesuffix(".json") == name.removesuffix(".png")
    page.locator("#layer").focus()
    page.keyboard.press("End")
    assert page.locator("#confidence").evaluate("each => each.style.opacity") == "1"


def test_a_photo_is_restored_larger_and_reconstructed_after_that(page: Any, given: Path) -> None:
    load(page, given)
    page.locator("#upscale").select_option("4")
    page.locator("#restore").click()
    fails(page, "enlarged 4 times it has 1.05 megapixels; at most 1 are made")
    page.locator("#upscale").select_option("2")
    page.locator("#restore").click()
    page.locator("#result-view").wait_for()
    assert "2 times as large" in page.locator("#facts").text_content()
    assert read_rgb(saved(page, "Save picture")[1]).shape == (512, 512, 3)
    page.get_by_role("button", name="Mask", exact=True).click()
    page.locator("#mask").focus()
    page.keyboard.press("Space")
    assert made_of(page).shape == (256, 256, 3)
    assert page.locator("#made-name").text_content() == "Reconstructed"


def test_an_error_is_told_and_nothing_is_lost_by_it(page: Any, given: Path, tmp_path: Path) -> None:
    load(page, given)
    page.locator("#mask").focus()
    page.keyboard.press("Space")
    before = hidden_of(page)
    (tmp_path / "<b>text.jpg").write_text("no photo")
    page.locator("#photo-other").set_input_files(str(tmp_path / "<b>text.jpg"))
    fails(page, "<b>text.jpg: cannot be decoded")
    assert (hidden_of(page) == before).all()
    page.get_by_role("button", name="Dismiss").click()
    assert page.get_by_role("alert").text_content() == ""
    (tmp_path / "large.jpg").write_bytes(bytes(2_100_000))
    page.locator("#photo-other").set_input_files(str(tmp_path / "large.jpg"))
    fails(page, "large.jpg: 2.1 MB; at most 2 MB are taken")


def test_a_turned_photo_has_a_mask_of_its_size_as_shown(page: Any, given: Path, tmp_path: Path) -> None:
    with Image.open(given) as image:
        cropped = image.convert("RGB").crop((0, 0, 256, 240))
        turned = cropped.transpose(Image.Transpose.ROTATE_90)
        about = Image.Exif()
        about[0x0112] = 6  # shown a quarter to the right
        turned.save(tmp_path / "turned.jpg", exif=about, quality=95)
    with Image.open(tmp_path / "turned.jpg") as image:
        assert ImageOps.exif_transpose(image).size == (256, 240)
    load(page, tmp_path / "turned.jpg")
    page.locator("#mask").focus()
    page.keyboard.press("Space")
    hidden = hidden_of(page)
    assert hidden.shape == (240, 256)
    assert made_of(page).shape == (240, 256, 3)


def test_one_of_several_faces_is_chosen(page: Any, given: Path, tmp_path: Path) -> None:
    image = read_rgb(given)
    small = np.asarray(Image.fromarray(image).resize((180, 180)))
    two = np.full((256, 436, 3), 255, np.uint8)
    two[:, :256], two[:180, 256:] = image, small
    (tmp_path / "two.png").write_bytes(png(two))
    load(page, tmp_path / "two.png")
    assert page.locator("#face-list label").all_text_contents() == [" Face 1", " Face 2", " All"]
    page.locator("#squares button", has_text="2").click()
    assert page.locator("#face-list input:checked").input_value() == "2"
    page.locator("#photo-regions").get_by_role("button", name="Nose").click()
    says(page, "is hidden by it")
    hidden = hidden_of(page)
    assert hidden[:, 256:].any()
    assert not hidden[:, :256].any()


def test_a_face_that_is_not_found_is_pointed_out(page: Any, tmp_path: Path) -> None:
    (tmp_path / "blank.png").write_bytes(png(np.full((100, 100, 3), 128, np.uint8)))
    page.locator("#photo-file").set_input_files(str(tmp_path / "blank.png"))
    says(page, "No face was found: point one out by hand")
    page.get_by_role("button", name="Point one out").click()
    box = page.locator("#mask").bounding_box()
    for x, y in ((35, 40), (65, 40), (50, 55), (40, 70), (60, 70)):
        page.mouse.click(box["x"] + box["width"] * x / 100, box["y"] + box["height"] * y / 100)
    says(page, "The face was taken")
    page.locator("#mask").focus()
    page.keyboard.press("Space")
    assert made_of(page).shape == (100, 100, 3)


def play(page: Any, path: Path) -> None:
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-file").set_input_files(str(path))


def clip_path(tmp_path: Path, photo: bytes) -> Path:
    """A clip of six seconds in which the drawn face moves to the right."""
    image, path = read_rgb(photo), tmp_path / "clip.mp4"
    path.write_bytes(clip_of([np.roll(image, 2 * shift, axis=1) for shift in range(30)], 5))
    return path


def number(page: Any) -> int:
    return int(page.locator("#frame").get_attribute("data-number"))


def test_a_clip_plays_pauses_steps_changes_and_is_saved(
    page: Any, photo: bytes, tmp_path: Path, service: Running
) -> None:
    play(page, clip_path(tmp_path, photo))
    page.locator("#speed", has_text="68 points on one face").wait_for()
    page.locator("#speed", has_text="frames/s").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.locator("#speed", has_text="paused").wait_for()
    begun = number(page)
    page.wait_for_timeout(500)
    assert number(page) == begun
    for more in (1, 2):
        page.get_by_role("button", name="Step").click()
        page.locator(f"#frame[data-number='{begun + more}']").wait_for()
    asked = page.locator("#frame").get_attribute("data-asked")
    page.locator("#video-regions").get_by_role("button", name="Eyes").click()
    page.locator(f"#frame:not([data-asked='{asked}'])").wait_for()
    assert number(page) == begun + 2
    name, content = saved(page, "Save this frame")
    assert name == f"reconstructed-frame-{begun + 3:05}.png"
    assert is_marked_picture(content)
    with Image.open(BytesIO(content)) as picture:
        assert picture.width > 512
    page.get_by_role("button", name="Play").click()
    page.locator("#speed", has_text="the clip has ended, 30 frames").wait_for()
    assert number(page) == 29


def test_the_sample_clip_plays(page: Any) -> None:
    if not GIF.is_file():
        pytest.skip("no ../shared/data/footage")
    play(page, GIF)
    page.locator("#speed", has_text="68 points on one face").wait_for()
    page.locator("#speed", has_text="frames/s").wait_for()
    page.get_by_role("button", name="Pause").click()
    begun = number(page)
    page.get_by_role("button", name="Step").click()
    page.locator(f"#frame[data-number='{begun + 1}']").wait_for()
    page.get_by_role("button", name="Stop").click()
    says(page, "Stopped")


def test_a_clip_that_cannot_be_played_is_told(page: Any, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no clip\n" * 100)
    play(page, tmp_path / "text.mp4")
    fails(page, "clip: cannot be decoded")
    page.evaluate(
        """() => {
            const dropped = new DataTransfer();
            dropped.setData("text/uri-list", "http://example.org/clip.mp4");
            document.getElementById("video-drop").dispatchEvent(
                new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
        }"""
    )
    fails(page, "An address is never fetched")
    (tmp_path / "empty.mp4").write_bytes(b"")
    page.locator("#video-file").set_input_files(str(tmp_path / "empty.mp4"))
    fails(page, "empty.mp4: the file is empty")


def test_on_a_phone_nothing_is_wider_than_the_page_and_a_finger_paints(
    browser: Any, service: Running, given: Path, photo: bytes, tmp_path: Path
) -> None:
    about = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    with page_of(browser, service, **about) as page:

        def check_width() -> None:
            assert page.evaluate("document.documentElement.scrollWidth") <= 360

        check_width()
        load(page, given)
        check_width()
        box = page.locator("#mask").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert hidden_of(page)[128, 128]
        made_of(page)
        check_width()
        page.get_by_role("tab", name="Video").click()
        check_width()
        play(page, clip_path(tmp_path, photo))
        page.get_by_label("Points and depth", exact=True).check()
        page.locator("#speed", has_text="68 by mean.onnx").wait_for()
        check_width()


def pixels(page: Any, canvas: str) -> np.ndarray:
    """A canvas [H, W, 3], without its label."""
    content = page.locator(canvas).evaluate("each => each.toDataURL().split(',')[1]")
    shown = read_rgb(base64.b64decode(content))
    height, width = shown.shape[:2]
    return shown[: height - round(width / 20)]


def near(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    """How many pixels have nearly this colour."""
    return int((np.abs(picture.astype(int) - colour).max(-1) < 40).sum())


NETWORK, MEDIAPIPE = (70, 255, 140), (255, 177, 59)


def test_points_and_depth_are_shown_by_both_and_by_either(page: Any, photo: bytes, tmp_path: Path) -> None:
    play(page, clip_path(tmp_path, photo))
    page.locator("#remade[aria-label*=reconstruction]").wait_for()
    page.get_by_label("Points and depth", exact=True).check()
    page.locator("#speed", has_text="68 by mean.onnx, 68 by MediaPipe").wait_for()
    page.get_by_role("button", name="Pause").click()
    page.locator("#speed", has_text="paused").wait_for()
    assert not page.locator("#video-regions").is_visible()
    assert page.locator("#legend").is_visible()
    above, below = pixels(page, "#frame"), pixels(page, "#frame-other")
    assert near(above, NETWORK) > 200 > near(above, MEDIAPIPE)
    assert near(below, MEDIAPIPE) > 200 > near(below, NETWORK)
    depths = [pixels(page, each) for each in ("#remade", "#remade-other")]
    assert [(np.ptp(depth.astype(int), axis=-1) > 40).mean() > 0.1 for depth in depths] == [True, True]
    assert (depths[0] != depths[1]).any()
    # a close-up is larger, and either can be shown alone
    page.get_by_label("Close-up of the largest face").uncheck()
    assert near(pixels(page, "#frame"), NETWORK) < near(above, NETWORK)
    page.locator("#video-by").get_by_label("MediaPipe").check()
    assert not page.locator("#frame-other").is_visible()
    assert near(pixels(page, "#frame"), MEDIAPIPE) > near(pixels(page, "#frame"), NETWORK)
    page.get_by_label("Show the 68 landmarks").uncheck()
    assert near(pixels(page, "#frame"), MEDIAPIPE) < 50
    name, content = saved(page, "Save this frame")
    assert name.startswith("measured-frame-")
    assert is_marked_picture(content)
    page.get_by_label("Reconstruction", exact=True).check()
    page.locator("#remade[aria-label*=reconstruction]").wait_for()
    assert page.locator("#video-regions").is_visible()


def test_a_clip_is_restored_live_and_whole(page: Any, photo: bytes, tmp_path: Path) -> None:
    play(page, clip_path(tmp_path, photo))
    page.locator("#remade[aria-label*=reconstruction]").wait_for()
    page.get_by_label("Restoration", exact=True).check()
    page.locator("#remade[aria-label*=restoration]").wait_for()
    assert not page.locator("#video-regions").is_visible()
    assert "faces were redrawn" in page.locator(".guess:visible").text_content()
    name, content = saved(page, "Save this frame")
    assert name.startswith("restored-frame-")
    assert is_marked_picture(content)
    page.get_by_role("button", name="Make the whole clip").click()
    page.locator("#whole-state", has_text="30 frames are made").wait_for()
    with page.expect_download() as loading:
        page.get_by_role("link", name="Save clip").click()
    assert loading.value.suggested_filename.startswith("restoration-")


def test_where_no_model_of_landmarks_is_served_the_choice_is_off_and_says_why(
    browser: Any, settings: ServeSettings, token: str
) -> None:
    with (
        serving(settings.model_copy(update={"landmarks_model": None}), token) as service,
        page_of(browser, service) as page,
    ):
        page.get_by_role("tab", name="Video").click()
        page.locator("#video-work").evaluate("each => (each.hidden = false)")
        assert page.get_by_label("Points and depth", exact=True).is_disabled()
        assert page.get_by_label("Reconstruction", exact=True).is_checked()
        assert "no model of landmarks is served: start `facerecon serve` with --landmarks-model" in (
            page.locator("#video-show").text_content()
        )
