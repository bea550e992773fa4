"""Pages in a browser: the bits of the run, every spike in the pixels, the largest cell told."""

import gzip
import json
import os
import re
import shutil

import numpy as np
import pytest

import wgf
from wgf import view
from wgf.plot.pixels import covered, largest
from wgf.record.solution import Solution
from wgf.view import blobs, document, scenes

MEGABYTE = 1_000_000


def unpacked(blob):
    """Return the facts and arrays of a blob, as the browser reads them."""
    content = gzip.decompress(blob)
    length = int.from_bytes(content[:4], "little")
    head = json.loads(content[4 : 4 + length])
    at, found = -(-(4 + length) // 8) * 8, {}
    for told in head["arrays"]:
        kind = np.dtype("<" + told["kind"])
        size = int(np.prod(told["shape"])) * kind.itemsize
        planes = np.frombuffer(content[at : at + size], np.uint8).reshape(kind.itemsize, -1)
        found[told["name"]] = np.ascontiguousarray(planes.T).view(kind).reshape(told["shape"])
        at += -(-size // 8) * 8
    return head, found


def run_of(*measures):
    solution = Solution({"axes": list(measures[0].names), "terms": ["ridge"]})
    for k, measure in enumerate(measures):
        rows = {"t": [k], "objective": [2.0 - k], "ridge": [1.0 - k], "mass": [measure.mass]}
        solution.append(float(k), measure, None, rows)
    return solution


def spiky(cells, shift=0):
    """Return a density of twenty cells of different values on a mesh."""
    mesh = wgf.Mesh(w=wgf.Axis(-2, 2, 40), x=wgf.Axis(0, 1, cells))
    values = np.zeros(mesh.shape)
    columns = ((np.arange(20) + 0.5) / 20 * cells).astype(int)
    values[np.arange(20) + 10 + shift, columns] = 1 + np.arange(20) / 30
    return wgf.Density(mesh, values)


def test_numbers_arrive_with_their_bits():
    rng = np.random.default_rng(0)
    arrays = {"a": rng.normal(size=(3, 5)), "b": np.arange(7), "c": np.array([1e-310, np.inf])}
    facts = {"none": float("nan"), "list": (np.float64(0.1), 2)}
    head, found = unpacked(blobs.encode(facts, arrays))
    assert head["none"] is None and head["list"] == [0.1, 2]
    for name, values in arrays.items():
        assert found[name].tobytes() == np.asarray(values, found[name].dtype).tobytes()


@pytest.mark.parametrize("length", range(9))
def test_a_page_holds_seven_bits_a_character(length):
    blob = bytes(np.random.default_rng(length).integers(0, 256, length, np.uint8)) + b"\r\0<" * 99
    text = blobs.text(blob)
    assert not set(text) & set("\0\r<") and len(text) == -(-8 * len(blob) // 7)
    bits = "".join(f"{ord(character) & 127:07b}" for character in text)
    whole = bits[: len(bits) // 8 * 8]
    assert bytes(int(whole[i : i + 8], 2) for i in range(0, len(whole), 8)) == blob


def test_a_fine_mesh_is_sent_as_its_largest_cells():
    density = spiky(3000)
    _, found = unpacked(scenes.Scene("fine", run_of(density)).frame(0))
    kept, cells = found["plane 0"], found["cell 0"]
    assert kept.shape == (40, scenes.BLOCKS)
    assert np.array_equal(density.values.ravel()[cells], kept)
    assert np.array_equal(np.sort(kept[kept > 0]), np.sort(density.values[density.values > 0]))
    np.testing.assert_array_equal(found["along 1"], density.marginal("x").values)


def test_a_page_needs_no_network_and_little_more_than_its_data(tmp_path):
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 64), y=wgf.Axis(0, 1, 64))
    rng = np.random.default_rng(0)
    run = run_of(*(wgf.Density(mesh, rng.random(mesh.shape)) for _ in range(12)))
    path = view.page([run], tmp_path / "page.html")
    # random digits do not compress: the worst there is
    data = 12 * 64 * 64 * 8
    assert path.stat().st_size <= data + 5 * MEGABYTE
    text = path.read_text().replace(document.library(), "")
    assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
    assert "default-src 'none'" in text


def test_of_a_long_run_some_snapshots_are_shown():
    density = spiky(30)
    run = run_of(*[density] * 9)
    assert list(scenes.Scene("", run, frames=3).index) == [0, 4, 8]
    assert list(scenes.Scene("", run, frames=1).index) == [8]
    with pytest.raises(wgf.InputError, match="view frames: 0 is too small"):
        scenes.Scene("", run, frames=0)


def test_bad_input(tmp_path, monkeypatch):
    run = run_of(spiky(30))
    with pytest.raises(wgf.InputError, match=r"does not end in \.html"):
        view.page([run], tmp_path / "page.pdf")
    with pytest.raises(wgf.InputError, match="no run is given"):
        view.page([], tmp_path / "page.html")
    with pytest.raises(wgf.InputTypeError, match="int is not a run"):
        view.page([3], tmp_path / "page.html")
    monkeypatch.setitem(__import__("sys").modules, "plotly.offline", None)
    document.library.cache_clear()
    with pytest.raises(wgf.InputError, match=r'pip install "\.\[view\]"'):
        view.page([run], tmp_path / "page.html")
    document.library.cache_clear()


def test_what_is_left_of_a_damaged_run_is_shown(tmp_path):
    flow, start = wgf.GradientFlow(wgf.Ridge(1.0)), spiky(30)
    path = tmp_path / "run"
    whole = wgf.solve(flow, start, 0.3, every=0.1, save=path)
    damaged = path / "snapshots/000001.h5"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    (scene,) = document.scenes_of([path])
    head, columns = unpacked(scene.head())
    assert head["times"] == [0.0, 0.2, 0.3] and head["label"] == "run"
    (trouble,) = head["troubles"]
    assert "000001.h5: the content differs" in trouble and "t = 0.1 is left out" in trouble
    # the index still has the rows of the snapshot that is lost
    assert np.array_equal(columns["column objective"], whole.diagnostics["objective"])
    _, found = unpacked(scene.frame(1))
    assert np.array_equal(found["plane 0"], whole.at(0.2).values)
    for file in (path / "snapshots").iterdir():
        file.write_bytes(b"")
    with pytest.raises(wgf.InputError, match="none of 4 snapshots can be read"):
        document.scenes_of([path])


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium; without it these tests are skipped, but not where it is promised."""
    path = shutil.which("chromium")
    if path is None:
        stop = pytest.fail if os.environ.get("WGF_BROWSER") else pytest.skip
        stop("no chromium is installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def opened(browser, url):
    """Return an open page and the list of what went wrong in it."""
    page, troubles = browser.new_page(viewport={"width": 1000, "height": 900}), []
    page.on("console", lambda message: troubles.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("requestfailed", lambda request: troubles.append(request.url))
    page.goto(url)
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    return page, troubles


PANEL = """() => {
    const target = document.getElementById("picture 0"), full = target._fullLayout;
    const box = target.getBoundingClientRect();
    return {left: box.left + full.xaxis._offset, top: box.top + full.yaxis._offset,
            width: full.xaxis._length, height: full.yaxis._length,
            x: full.xaxis.range, y: full.yaxis.range};
}"""


def pixel_of(panel, x, y):
    """Return the pixel of the window that holds a point."""
    right = (x - panel["x"][0]) / (panel["x"][1] - panel["x"][0]) * panel["width"]
    up = (y - panel["y"][0]) / (panel["y"][1] - panel["y"][0]) * panel["height"]
    return int(panel["left"] + right), int(panel["top"] + panel["height"] - up)


def picture(page):
    """Return the pixels of what the page shows."""
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(int)


def told(page, column, row):
    """Return the position and the value that the page tells for a pixel of the window."""
    page.mouse.move(column, row)
    text = page.text_content("[id='pointer 0']")
    return [float(number) for number in re.findall(r"[-+]?\d[\d.]*(?:e[-+]?\d+)?", text)]


@pytest.mark.parametrize("cells", [100, 4096])
def test_every_spike_is_on_the_page_and_told_by_the_pointer(cells, browser, tmp_path):
    first, second = spiky(cells), spiky(cells, shift=-8)
    path = view.page([run_of(first, second)], tmp_path / "page.html")
    page, troubles = opened(browser, f"file://{path}")
    panel = page.evaluate(PANEL)
    for k, density in enumerate((first, second)):
        # the slider moves the picture
        page.evaluate(
            "k => {const s = document.getElementById('slider'); s.value = k;"
            "s.dispatchEvent(new Event('input'));}",
            k,
        )
        page.wait_for_function("k => document.body.dataset.shown === String(k)", arg=k)
        pixels = picture(page)
        rows, columns = np.nonzero(density.values)
        mesh = density.mesh
        for i, j in zip(rows, columns):
            x, y = mesh.axes[1].centers[j], mesh.axes[0].centers[i]
            column, row = pixel_of(panel, x, y)
            assert pixels[row - 1 : row + 2, column - 1 : column + 2].min() < 150
            # a spike of 4096 cells is narrower than a pixel, which may begin within it
            near = [told(page, column + k, row) for k in (0, 1, -1)]
            assert [y, x, density.values[i, j]] in near
    assert "t = 1 (2 of 2)" in page.text_content("#time")
    assert troubles == []
    page.close()


def test_the_pointer_tells_the_largest_cell_of_any_pixel(browser, tmp_path):
    mesh = wgf.Mesh(w=wgf.Axis(-2, 2, 300), x=wgf.Axis(0, 1, 900))
    density = wgf.Density(mesh, np.random.default_rng(0).random(mesh.shape) ** 4)
    cloud = density.sample(50, 0)
    path = view.page([run_of(density), run_of(cloud)], tmp_path / "page.html")
    page, troubles = opened(browser, f"file://{path}")
    panel = page.evaluate(PANEL)
    counts = [round(panel["width"]), round(panel["height"])]
    cover = [
        covered(mesh.axes[k].edges, np.linspace(*panel[name], n + 1))
        for k, name, n in ((0, "y", counts[1]), (1, "x", counts[0]))
    ]
    expected = largest(density.values, *cover)
    for right, down in np.random.default_rng(1).uniform(0.02, 0.98, (20, 2)):
        pixel = (
            int(panel["left"] + right * panel["width"]),
            int(panel["top"] + down * panel["height"]),
        )
        w, x, value = told(page, *pixel)
        column = int((pixel[0] - panel["left"]) / panel["width"] * counts[0])
        up = panel["top"] + panel["height"] - pixel[1]
        assert value == expected[int(up / panel["height"] * counts[1]), column]
        assert value == density.values[mesh.axes[0].centers == w, mesh.axes[1].centers == x]
    # both runs beside each other, with their histories, parts and provenance
    assert page.locator(".picture").count() == 2
    assert page.locator("[id='picture 1'] .scatterlayer .point").count() == 50
    assert page.locator("#history .trace, #parts .trace").count() >= 2 + 4
    assert "certificate: needs the functional" in page.text_content("#facts")
    assert troubles == []
    page.close()
