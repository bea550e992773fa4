"""One self-contained file that shows runs in a browser: plotly is within it, no network needed."""

from __future__ import annotations

import functools
import html
import os
import pathlib
from collections.abc import Sequence

from wgf import checks
from wgf.record import directory
from wgf.record.salvage import readable
from wgf.view import blobs
from wgf.view.scenes import FRAMES, Scene

HERE = pathlib.Path(__file__).parent


def page(
    runs: Sequence, path: str | os.PathLike, functional=None, frames: int = FRAMES
) -> pathlib.Path:
    """Write a page that shows one run, or several beside each other.

    A slider goes through time; measures are drawn in the plane of two axes with their marginals,
    every pixel the largest of the cells that it covers, and the pointer tells that cell. Columns
    of diagnostics, the parts of the objective, the certificate and the provenance are below. The
    page needs no network: it can be sent and kept.

    Parameters
    ----------
    runs : list of runs or of paths of stored runs
        Of a stored run that is damaged the page shows what can be read and says what cannot.
    path : path
        File to write, ``.html``.
    functional : Functional, optional
        With it the page tells the certificate, see `wgf.certificate`.
    frames : int
        At most this many snapshots per run, evenly chosen.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        For another ending, where plotly is not installed, and for a run of which nothing can be
        read.
    """
    path = check(path)
    library()
    scenes = scenes_of(runs, functional, frames)
    held = []
    for number, scene in enumerate(scenes):
        held.append(_holder(f"head {number}", scene.head()))
        held += [_holder(f"frame {number} {k}", scene.frame(int(k))) for k in scene.index]
    directory.replace(path, document(title(scenes), "\n".join(held)).encode())
    return path


def check(path: str | os.PathLike) -> pathlib.Path:
    """Return the path of a page or raise `InputError` for another ending than ``.html``."""
    path = pathlib.Path(path)
    if path.suffix not in (".html", ".htm"):
        raise checks.InputError(f"view: {path} does not end in .html, give such a name")
    return path


def scenes_of(runs: Sequence, functional=None, frames: int = FRAMES) -> list[Scene]:
    """Return runs, or what can be read of stored ones, as the page shows them."""
    if not runs:
        raise checks.InputError("view: no run is given, give at least one")
    scenes = []
    for number, run in enumerate(runs, 1):
        troubles: list[str] = []
        label = f"run {number}"
        if isinstance(run, str | os.PathLike):
            label, (run, troubles) = name_of(run), readable(run)
        elif not hasattr(run, "snapshots"):
            raise checks.InputTypeError(
                f"view: {type(run).__name__} is not a run, give what wgf.solve returned or a path"
            )
        scenes.append(Scene(label, run, troubles, functional, frames))
    return scenes


def name_of(path: str | os.PathLike) -> str:
    """Return what a stored run is called: its folder, of a side with the one above."""
    path = pathlib.Path(path).absolute()
    return "/".join(path.parts[-2:]) if path.name in ("mesh", "particles") else path.name


def title(scenes: list[Scene]) -> str:
    """Return the title of the page."""
    return ", ".join(scene.label for scene in scenes)


def _holder(name, blob):
    kind = 'type="application/octet-stream"'
    return f'<script {kind} data-name="{name}">{blobs.text(blob)}</script>'


@functools.cache
def library() -> str:
    """Return the text of plotly's library for browsers, from its package for Python."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise checks.InputError(
            f"view: plotly is not installed, {checks.install('view')}"
        ) from None
    return get_plotlyjs()


def document(heading: str, held: str) -> str:
    """Return the page with what it holds; without, it asks the server that it comes from."""
    parts = {
        "TITLE": html.escape(heading),
        "LIBRARY": library(),
        "SCRIPT": (HERE / "page.js").read_text(encoding="utf-8"),
        "HELD": held,
    }
    text = (HERE / "page.html").read_text(encoding="utf-8")
    before, *rest = text.split("{{")
    pieces = [before]
    for piece in rest:
        name, _, after = piece.partition("}}")
        pieces += [parts[name], after]
    return "".join(pieces)
