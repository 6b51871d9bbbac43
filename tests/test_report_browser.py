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
from flowseg._report import image_picture, volume_voxels
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


def draw_volume():
    """A volume of balls on a lattice of 12 x 16 x 20 voxels: image, true and predicted masks.

    Object 1 is a false negative, 2 and 3 are merged, 4 is split.
    """
    place = np.indices((24, 48, 60))
    cell = place // np.array([12, 16, 20]).reshape(3, 1, 1, 1)
    true = 1 + np.ravel_multi_index(tuple(cell), (2, 3, 3))
    distance = [(place[k] % n - n / 2 + 0.5) / (0.45 * n) for k, n in enumerate((12, 16, 20))]
    true = np.where(np.sum(np.square(distance), axis=0) <= 1, true, 0)
    found = np.where(true == 1, 0, true)
    found[found == 3] = 2
    found[(true == 4) & (place[0] >= 6)] = 50
    image = (true > 0) * 100.0 + np.random.default_rng(0).random(true.shape) * 50
    return image, true, found


def write_volumes(path, *, reduced=False):
    """A report of a volume and of one of its planes."""
    image, true, found = draw_volume()
    compared = []
    for name, pick in (("deep", np.s_[:]), ("flat", np.s_[6])):
        overlaps = find_overlaps(true[pick], found[pick])
        scores = score_image(name, overlaps)
        compared.append(Compared(scores, true[pick], found[pick], overlaps, image[pick], (2, 1, 1)))
    with pytest.MonkeyPatch.context() as patch:
        if reduced:
            patch.setattr(volume_voxels, "VOLUME_VOXELS", 24 * 48 * 60 // 4)
        write_page(path, iter(compared), 2, "found against true")
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
    found["volumes"] = write_volumes(folder / "volumes.html")
    found["reduced volumes"] = write_volumes(folder / "reduced_volumes.html", reduced=True)
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


@pytest.fixture
def volume_page(browser, pages):
    yield from visit(browser, pages["volumes"], lambda: open_image(browser, "deep"))


@pytest.fixture
def reduced_volume_page(browser, pages):
    yield from visit(browser, pages["reduced volumes"], lambda: open_image(browser, "deep"))


def open_image(browser, name):
    browser.find_element(By.XPATH, f"//tbody//button[text()='{name}']").click()
    assert text(browser, "name") == name


def visit(browser, address, prepare=lambda: None):
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(address)
    prepare()
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


def point(browser):
    return [int(text(browser, f"at-{name}-value")) for name in ("plane", "row", "column")]


def test_three_views_of_a_volume(volume_page):
    found = colors(volume_page)
    assert has(found, TRUTH)
    assert has(found, PREDICTION)
    assert point(volume_page) == [12, 24, 30]
    assert "24 \u00d7 48 \u00d7 60 voxels" in text(volume_page, "status")
    for name in ("plane", "row", "column"):
        slider = volume_page.find_element(By.ID, f"at-{name}")
        check_change(volume_page, lambda slider=slider: slider.send_keys(Keys.ARROW_LEFT * 3))
    assert point(volume_page) == [9, 21, 27]
    assert slider.get_attribute("aria-valuetext") == "27 of 0 to 59"
    for key in "234":
        check_change(volume_page, lambda key=key: press(volume_page, key))
    open_image(volume_page, "flat")
    assert not volume_page.find_element(By.ID, "point").is_displayed()
    assert not volume_page.find_element(By.ID, "volume-keys").is_displayed()
    assert "48 \u00d7 60 pixels" in text(volume_page, "status")


def test_keys_move_the_point(volume_page):
    for key, expected in (("." * 2, [14, 24, 30]), (",", [13, 24, 30])):
        check_change(volume_page, lambda key=key: press(volume_page, key))
        assert point(volume_page) == expected
    canvas = volume_page.find_element(By.ID, "canvas")
    for key, expected in (
        (Keys.PAGE_UP, [12, 24, 30]),
        (Keys.PAGE_DOWN * 30, [23, 24, 30]),
        (Keys.ARROW_UP * 4, [23, 20, 30]),
        (Keys.ARROW_RIGHT, [23, 20, 31]),
    ):
        check_change(volume_page, lambda key=key: canvas.send_keys(key))
        assert point(volume_page) == expected
    check_change(volume_page, lambda: canvas.send_keys(Keys.SHIFT + Keys.ARROW_LEFT))
    assert point(volume_page) == [23, 20, 31]
    open_image(volume_page, "flat")
    canvas.send_keys(Keys.ARROW_RIGHT, ".")  # of an image: the next one
    assert text(volume_page, "name") in ("deep", "flat")


def places(browser, voxels):
    """Where the voxels of the first view are, from the middle of the canvas."""
    return browser.execute_script(
        "const c = document.getElementById('canvas');"
        "const [w, h] = [c.clientWidth - PANE_GAP, c.clientHeight - PANE_GAP];"
        "const s0 = Math.min(w / 108, h / 96);"
        "const d = Math.round(Math.max(DEPTH_PIXELS, Math.min(48 * s0, DEPTH_SHARE * Math.min(w, h))));"
        "const s = Math.min((w - d - MARGIN) / 60, (h - d - MARGIN) / 48, (d - MARGIN) / 48);"
        "return arguments[0].map(([row, column]) => [(w - d) / 2 + s * (column + 0.5 - 30) - c.clientWidth / 2,"
        " (h - d) / 2 + s * (row + 0.5 - 24) - c.clientHeight / 2]);",
        voxels,
    )


def test_pointer_moves_the_point_and_describes_objects(volume_page):
    canvas = volume_page.find_element(By.ID, "canvas")
    volume_page.execute_script("arguments[0].scrollIntoView({block: 'center'})", canvas)
    press(volume_page, "," * 6)
    (place,) = places(volume_page, [[8, 10]])
    point_at = ActionChains(volume_page).move_to_element_with_offset(canvas, round(place[0]), round(place[1]))
    point_at.perform()
    wait(volume_page, lambda: text(volume_page, "status").startswith("true object 1: false negative"))
    check_change(volume_page, lambda: point_at.click().perform())
    assert point(volume_page) == [6, 8, 10]
    before = point(volume_page)
    check_change(volume_page, lambda: ActionChains(volume_page).drag_and_drop_by_offset(canvas, 40, 30).perform())
    assert point(volume_page) == before
    origin = webdriver.common.actions.wheel_input.ScrollOrigin.from_element(canvas)
    check_change(volume_page, lambda: ActionChains(volume_page).scroll_from_origin(origin, 0, -120).perform())
    assert point(volume_page) == before


def test_errors_of_a_volume(volume_page):
    """Going to an error moves the point into its object."""
    _, true, found = draw_volume()
    shown = [text(volume_page, f"count-{kind}") for kind in ("false-negative", "false-positive", "split", "merge")]
    assert shown == ["1 false negative", "0 false positives", "1 split", "1 merge"]
    expected = [
        (true, 1, "Error 1 of 3: true object 1: false negative, no match at IoU 0.5"),
        (found, 2, "Error 2 of 3: predicted object 2: merge, over 2 true objects, "),
        (true, 4, "Error 3 of 3: true object 4: split, over 2 predicted objects, "),
    ]
    for masks, label, words in expected:
        check_change(volume_page, lambda: press(volume_page, "e"))
        assert text(volume_page, "status").startswith(words)
        assert masks[tuple(point(volume_page))] == label


def test_outlines_of_slices_hold_exactly_the_objects(volume_page):
    """Objects that touch at corners, have holes, or are at the border."""
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 3, (9, 11)), np.kron(rng.integers(0, 4, (4, 5)), np.ones((2, 2), int)), np.eye(4)):
        rows, columns = values.shape
        inside = volume_page.execute_script(
            "const [flat, rows, columns] = arguments;"
            "const { paths } = traceSlice({ numbers: Uint32Array.from(flat), rows, columns });"
            "const context = document.createElement('canvas').getContext('2d');"
            "return [...paths].map(([k, path]) => [k, flat.map((_, n) => context.isPointInPath(path,"
            " n % columns + 0.5, Math.floor(n / columns) + 0.5, 'evenodd'))]);",
            values.ravel().astype(int).tolist(),
            rows,
            columns,
        )
        assert sorted(k + 1 for k, _ in inside) == np.unique(values[values > 0]).tolist()
        for k, pixels_inside in inside:
            assert np.array_equal(np.reshape(pixels_inside, values.shape), values == k + 1)


def test_a_reduced_volume_lies_where_it_should(reduced_volume_page):
    _, true, found = draw_volume()
    note = "the volume and its objects are shown at all, 1/2, 1/2 of the planes, rows, columns"
    assert text(reduced_volume_page, "note") == note
    assert point(reduced_volume_page) == [12, 25, 31]  # of the whole volume
    for masks, label in ((true, 1), (found, 2), (true, 4)):
        check_change(reduced_volume_page, lambda: press(reduced_volume_page, "e"))
        assert masks[tuple(point(reduced_volume_page))] == label


@pytest.mark.parametrize("width", [1400, 1000, 360])
def test_controls_of_a_volume_fit_and_are_reached(volume_page, width):
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    volume_page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert volume_page.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        reached = set()
        for _ in range(60):
            press(volume_page, Keys.TAB)
            reached.add(volume_page.switch_to.active_element.get_attribute("id"))
        assert {"at-plane", "at-row", "at-column", "canvas"} <= reached
    finally:
        volume_page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
