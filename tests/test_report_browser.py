"""The report in a browser: what is seen, pressed and sorted, and that nothing is fetched."""

import base64
import json
import shutil
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from skimage.transform import resize

from flowseg import synthetic
from flowseg._labels.overlaps import find_overlaps
from flowseg._report import image_picture
from flowseg._report.html_page import Compared, write_page
from flowseg._report.scores import score_image

selenium = pytest.importorskip("selenium", reason="selenium, of the extra 'browser', is not installed")
from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and its driver are not installed")

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1300,1000",
)
TRUTH, PREDICTION = (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00)
NAMES = ["<script>alert(1)</script>", "b \"quoted' & <b>bold</b>", "c", "d"]


def write(path, with_images):
    """A report in which 2 k objects of image k are false negatives, and two of the second image are merged."""
    compared = []
    for k, name in enumerate(NAMES):
        image, true = synthetic.cells((90, 120), 12, rng=k)
        found = np.where(true <= 2 * k, 0, true)
        if k == 1:
            found[found == 4] = 3
        overlaps = find_overlaps(true, found)
        scores = score_image(name, overlaps)
        compared.append(Compared(scores, true, found, overlaps, image if with_images else None))
    write_page(path, iter(compared), len(NAMES), "found against <i>true</i>")
    return path.as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    found = {kind: write(folder / f"{kind}.html", kind == "images") for kind in ("images", "bare")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_picture, "IMAGE_PIXELS", 90 * 120 // 15)  # 1/4, which does not divide 90 rows
        found["reduced"] = write(folder / "reduced.html", True)
    return found


@pytest.fixture
def page(browser, pages):
    """The report, opened again; afterwards: no errors, and nothing fetched but the page itself."""
    yield from visit(browser, pages["images"])


@pytest.fixture
def bare_page(browser, pages):
    yield from visit(browser, pages["bare"])


@pytest.fixture
def reduced_page(browser, pages):
    yield from visit(browser, pages["reduced"])


def visit(browser, address):
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(address)
    wait(browser, lambda: np.unique(colors(browser)).size > 3)
    yield browser
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in asked if not url.startswith("data:")} == {address}


def wait(browser, condition):
    WebDriverWait(browser, 20, poll_frequency=0.05).until(lambda _: condition())


def colors(browser):
    """Colors of the canvas where it is painted, pixel by pixel."""
    data = base64.b64decode(pixels(browser).split(",")[1])
    found = np.asarray(Image.open(BytesIO(data)).convert("RGBA")).reshape(-1, 4)
    return found[found[:, 3] == 255, :3].astype(int)


def has(found, color):
    return bool((np.abs(found - color).max(axis=1) <= 6).any())


def is_gray(found):
    return bool((np.ptp(found, axis=1) == 0).all())


def press(browser, keys, *more):
    browser.switch_to.active_element.send_keys(keys, *more)


def text(browser, name):
    return browser.find_element(By.ID, name).text


def names(browser):
    return [b.text for b in browser.find_elements(By.CSS_SELECTOR, "#images tbody button")]


def pixels(browser):
    return browser.execute_script("return document.getElementById('canvas').toDataURL()")


def check_change(browser, action):
    """Do something that changes the picture."""
    before = pixels(browser)
    action()
    wait(browser, lambda: pixels(browser) != before)


def test_layers_change_what_is_seen(page):
    found = colors(page)
    assert has(found, TRUTH)
    assert has(found, PREDICTION)
    for name in ("errors", "predicted", "true"):
        box = page.find_element(By.ID, f"layer-{name}")
        check_change(page, box.click)
    found = colors(page)
    assert is_gray(found)
    assert np.unique(found).size > 50  # the image alone
    check_change(page, page.find_element(By.ID, "layer-image").click)
    assert not colors(page).any()
    check_change(page, lambda: press(page, "2"))
    found = colors(page)
    assert has(found, TRUTH)
    assert not has(found, PREDICTION)
    press(page, "23")  # each key paints
    wait(page, lambda: has(colors(page), PREDICTION) and not has(colors(page), TRUTH))
    found = colors(page)
    assert has(found, PREDICTION)
    assert not has(found, TRUTH)
    press(page, "34")
    wait(page, lambda: not has(colors(page), PREDICTION) and colors(page).any())
    red, green, blue = colors(page).sum(axis=0)
    assert red > 1.5 * green > 10 * blue  # vermillion: false negatives
    press(page, "14")
    wait(page, lambda: np.unique(colors(page)).size > 3 and is_gray(colors(page)))


def test_worst_first_and_sorting(page):
    assert names(page) == NAMES[::-1]
    assert text(page, "name") == NAMES[3]
    assert page.find_element(By.ID, "title").text == "found against <i>true</i>"
    heads = page.find_elements(By.CSS_SELECTOR, "#images thead th")
    assert [h.get_attribute("aria-sort") for h in heads[:3]] == ["none", "ascending", "none"]
    heads[0].find_element(By.TAG_NAME, "button").click()
    assert names(page) == NAMES
    assert heads[0].get_attribute("aria-sort") == "ascending"
    heads[0].find_element(By.TAG_NAME, "button").click()
    assert names(page) == NAMES[::-1]
    assert heads[0].get_attribute("aria-sort") == "descending"
    merges = heads[8].find_element(By.TAG_NAME, "button")
    merges.send_keys(Keys.ENTER)  # the most first
    assert names(page)[0] == NAMES[1]
    merges.send_keys(Keys.ENTER)
    assert names(page)[-1] == NAMES[1]
    assert text(page, "name") == NAMES[3]  # what is shown stays
    disabled = [page.find_element(By.ID, name).get_attribute("aria-disabled") for name in ("previous", "next")]
    assert disabled == [str(names(page)[0] == NAMES[3]).lower(), str(names(page)[-1] == NAMES[3]).lower()]
    heads[1].find_element(By.TAG_NAME, "button").click()
    assert page.find_element(By.ID, "previous").get_attribute("aria-disabled") == "true"


def test_images_by_keys(page):
    for key, name in (("n", 2), (Keys.ARROW_RIGHT, 1), ("n", 0), ("n", 0), ("p", 1), (Keys.ARROW_LEFT, 2)):
        press(page, key)
        assert text(page, "name") == NAMES[name]
    assert page.find_element(By.CSS_SELECTOR, "[aria-current=true]").text.startswith(NAMES[2])
    label = page.find_element(By.ID, "canvas").get_attribute("aria-label")
    assert (
        label
        == f"{NAMES[2]}: 12 true and 8 predicted objects; 4 false negatives, 0 false positives, 0 splits, 0 merges"
    )
    row = page.find_elements(By.CSS_SELECTOR, "#images tbody button")[1]
    row.send_keys(Keys.ENTER)
    assert text(page, "name") == NAMES[2]
    row.send_keys(Keys.ARROW_DOWN)
    assert text(page, "name") == NAMES[1]
    assert page.switch_to.active_element.text == NAMES[1]
    press(page, Keys.ARROW_UP)
    assert page.switch_to.active_element.text == NAMES[2]
    assert "Image 2 of 4, 90 \u00d7 120 pixels" in text(page, "status")


def test_zoom_and_move(page):
    whole = pixels(page)
    for key in ("+", "-", "+", Keys.SHIFT + Keys.ARROW_LEFT):
        check_change(page, lambda key=key: press(page, key))
    press(page, Keys.NULL, "0")
    wait(page, lambda: pixels(page) == whole)
    canvas = page.find_element(By.ID, "canvas")
    origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(canvas)
    check_change(page, lambda: ActionChains(page).scroll_from_origin(origin, 0, -120).perform())
    check_change(page, lambda: ActionChains(page).drag_and_drop_by_offset(canvas, 40, 30).perform())
    check_change(page, page.find_element(By.ID, "in").click)
    page.find_element(By.ID, "fit").click()
    wait(page, lambda: pixels(page) == whole)
    check_change(page, lambda: press(page, "e"))
    assert text(page, "status").startswith("Error 1 of 6: true object ")


def test_the_threshold_is_that_of_the_errors(page):
    page.find_element(By.XPATH, "//tbody//button[text()='c']").click()
    assert text(page, "count-false-negative") == "4 false negatives"
    assert text(page, "unmatched").startswith("Without a match: 4 true and 0 predicted")
    page.find_element(By.XPATH, "//tbody//button[starts-with(text(), 'b')]").click()
    slider = page.find_element(By.ID, "threshold")
    shown = [text(page, f"count-{kind}") for kind in ("false-negative", "false-positive", "split", "merge")]
    assert shown == ["2 false negatives", "0 false positives", "0 splits", "1 merge"]
    slider.send_keys(Keys.END)
    assert text(page, "threshold-value") == "0.95"
    assert text(page, "unmatched").startswith("Without a match: 4 true and 1 predicted")
    assert text(page, "name") == NAMES[1]  # the arrows are the slider's here
    slider.send_keys(Keys.ARROW_LEFT)
    assert text(page, "threshold-value") == "0.90"
    assert text(page, "name") == NAMES[1]


def test_brightness(page):
    for key in "234":
        check_change(page, lambda key=key: press(page, key))
    before = colors(page).mean()
    gain = page.find_element(By.ID, "gain")
    check_change(page, lambda: gain.send_keys(Keys.ARROW_RIGHT * 6))
    assert colors(page).mean() > before + 10
    assert is_gray(colors(page))


def test_every_control_is_reached_and_shows_the_focus(page):
    reached = []
    for _ in range(60):
        press(page, Keys.TAB)
        element = page.switch_to.active_element
        reached.append(element.get_attribute("id") or element.text or element.get_attribute("class"))
        if element.get_attribute("id") == "canvas":
            break
        assert page.execute_script("return getComputedStyle(arguments[0]).outlineStyle", element) == "solid"
    wanted = ["in", "out", "fit", "error", "next", "layer-image", "layer-true", "layer-predicted", "layer-errors"]
    assert set(wanted) | {"threshold", "gain", "canvas"} <= set(reached)
    unnamed = page.execute_script(
        "return [...document.querySelectorAll('button, input')].filter((e) => !(e.textContent.trim() || e.ariaLabel"
        " || (e.labels && e.labels.length))).length"
    )
    assert unnamed == 0


def test_pointing_describes_an_object(page):
    page.find_element(By.XPATH, "//tbody//button[text()='c']").click()
    canvas = page.find_element(By.ID, "canvas")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    scale, x0, y0 = page.execute_script(
        "const c = document.getElementById('canvas');"
        "const s = Math.min((c.clientWidth - 16) / 120, (c.clientHeight - 16) / 90);"
        "return [s, -60 * s, -45 * s];"
    )
    _, true = synthetic.cells((90, 120), 12, rng=2)
    for label, words in ((9, "true object 9: matched"), (1, "true object 1: false negative")):
        inside = np.argwhere(true == label)
        row, column = inside[np.abs(inside - inside.mean(axis=0)).sum(axis=1).argmin()] + 0.5
        place = ActionChains(page).move_to_element_with_offset(
            canvas, round(x0 + scale * column), round(y0 + scale * row)
        )
        place.perform()
        wait(page, lambda words=words: words in text(page, "status"))


def test_without_images(bare_page):
    assert not bare_page.find_element(By.ID, "layer-image-label").is_displayed()
    assert not bare_page.find_element(By.ID, "gain").is_displayed()
    for key in "34":
        check_change(bare_page, lambda key=key: press(bare_page, key))
    found = colors(bare_page)
    assert has(found, TRUTH)
    assert not has(found, PREDICTION)
    press(bare_page, "n")
    assert text(bare_page, "name") == NAMES[2]


def test_a_reduced_image_lies_where_it_should(reduced_page):
    assert text(reduced_page, "note") == "the image is shown at 1/4 of its resolution, outlines in full"
    image, true = synthetic.cells((90, 120), 12, rng=3)
    for key in "34":
        check_change(reduced_page, lambda key=key: press(reduced_page, key))
    assert has(colors(reduced_page), TRUTH)
    check_change(reduced_page, lambda: press(reduced_page, "2"))
    shown = colors(reduced_page)
    assert is_gray(shown)
    columns = round(np.sqrt(len(shown) * 120 / 90))
    rows = len(shown) // columns
    assert rows * columns == len(shown)  # the image, and nothing beyond it
    picture = shown[:, 0].reshape(rows, columns)
    expected = resize(np.clip(image, *np.percentile(image, [1, 99.9])), picture.shape)
    assert np.corrcoef(picture.ravel(), expected.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 1000, 360])
def test_nothing_sticks_out_and_words_can_be_read(page, scheme, width):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        for name in ("title", "interval-note", "name", "keys"):
            shown = page.execute_script(
                "const e = getComputedStyle(document.getElementById(arguments[0]));"
                "return [e.color, getComputedStyle(document.body).backgroundColor];",
                name,
            )
            assert contrast(*shown) >= 4.5, name  # WCAG 2.2, 1.4.3
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def contrast(one, other):
    """Contrast ratio of two colors as browsers say them, after WCAG."""
    lights = []
    for said in (one, other):
        red, green, blue = (int(v) / 255 for v in said[said.index("(") + 1 : -1].split(",")[:3])
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)]
        lights.append(np.dot(linear, [0.2126, 0.7152, 0.0722]))
    return (max(lights) + 0.05) / (min(lights) + 0.05)
