"""How long a page of 100 snapshots of 256 x 256 cells takes to write and to open in Chromium.

    python tests/benchmarks/page_opening.py

On a quiet machine it opens in 3 s; its size is told beside that of its data.
"""

import pathlib
import shutil
import tempfile
import time

from playwright.sync_api import sync_playwright

import wgf
from wgf import view

CELLS, SNAPSHOTS = 256, 100


def main():
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, CELLS), y=wgf.Axis(-2, 2, CELLS))
    run = wgf.Solution({"axes": list(mesh.names)})
    for k in range(SNAPSHOTS):
        density = wgf.Density.normal(mesh, 0.01 * k - 0.5, 0.3 + 0.002 * k)
        rows = {"t": [k], "objective": [1.0 / (1 + k)], "mass": [density.mass]}
        run.append(float(k), density, None, rows)
    data = 8 * mesh.cells * SNAPSHOTS
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        began = time.perf_counter()
        path = view.page([run], pathlib.Path(folder) / "page.html")
        size, wrote = path.stat().st_size, time.perf_counter() - began
        print(f"written in {wrote:.1f} s: {size / 1e6:.1f} MB, its data {data / 1e6:.1f} MB")
        chromium = shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for attempt in range(3):
            page = browser.new_page()
            began = time.perf_counter()
            page.goto(f"file://{path}")
            page.wait_for_selector("body[data-ready]", timeout=120_000)
            print(f"opening {attempt + 1}: {time.perf_counter() - began:.2f} s")
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
