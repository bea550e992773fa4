"""Figures on disk: whole or not at all."""

import functools
import io
import pathlib

from wgf import checks
from wgf.record import directory

ENDINGS = ("png", "pdf", "svg", "eps", "ps", "jpg", "jpeg", "tif", "tiff", "webp")


def check(path: str | pathlib.Path | None) -> pathlib.Path | None:
    """Return the path of a figure, with ``.png`` added to a bare name; None stays None.

    Raises
    ------
    InputError
        For an unknown ending.
    """
    if path is None:
        return None
    path = pathlib.Path(path)
    path = path if path.suffix else path.with_suffix(".png")
    kind = path.suffix.lower().lstrip(".")
    if kind not in ENDINGS:
        raise checks.InputError(
            f"{path}: figures of the kind {kind!r} are unknown, choose from {', '.join(ENDINGS)}"
        )
    return path


@functools.cache
def shown_figure() -> type:
    """Return the class of our figures: matplotlib's, which a notebook shows as it is."""
    from matplotlib.figure import Figure

    class Shown(Figure):
        def _repr_png_(self):
            image = io.BytesIO()
            self.savefig(image, format="png")
            return image.getvalue()

    return Shown


def save(figure, path: str | pathlib.Path, dpi: float | str = "figure") -> None:
    """Write a figure so that `path` holds all of it or what it held before."""
    path = check(path)
    image = io.BytesIO()
    figure.savefig(image, format=path.suffix.lower().lstrip("."), dpi=dpi)
    directory.replace(path, image.getvalue())
