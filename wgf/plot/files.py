"""Figures on disk: whole or not at all."""

import io
import pathlib

from wgf import checks, directory


def save(figure, path):
    """Write a figure so that `path` holds all of it or what it held before.

    The ending chooses the format, ``.png`` is added to a bare name.

    Raises
    ------
    InputError
        For an ending that matplotlib does not know.
    """
    path = pathlib.Path(path)
    path = path if path.suffix else path.with_suffix(".png")
    kind, known = path.suffix.lower().lstrip("."), figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise checks.InputError(
            f"{path}: figures of the kind {kind!r} are unknown, choose from {', '.join(known)}"
        )
    image = io.BytesIO()
    figure.savefig(image, format=kind)
    directory.replace(path, image.getvalue())
