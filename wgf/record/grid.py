"""Labelled arrays over named dimensions as one HDF5 file that xarray and netCDF tools open."""

import pathlib

import numpy as np

from wgf import checks
from wgf.record.layout import grid_of, image, memory_file

# texts of any length, as h5py marks them
TEXT = np.dtype("O", metadata={"vlen": str})


def grid_image(dimensions: dict, variables: dict, attributes: dict) -> bytes:
    """Return the bytes of a file with every array over its dimensions.

    Parameters
    ----------
    dimensions : dict of arrays
        Coordinates by name, numbers or texts.
    variables : dict of tuples
        ``(names of the dimensions, array)`` by name.
    attributes : dict
        Texts and numbers for the root.
    """
    size = sum(array.nbytes for _, array in variables.values())
    with memory_file(size) as file:
        file.attrs.update(attributes)
        scales = {}
        for name, values in dimensions.items():
            scales[name] = _put(file, name, values)
            scales[name].make_scale(name)
        for name, (names, values) in variables.items():
            dataset = _put(file, name, values)
            for axis, label in zip(dataset.dims, names):
                axis.label = label
                axis.attach_scale(scales[label])
        return image(file)


def read_grid(path: pathlib.Path) -> tuple[dict, dict]:
    """Return the dimensions and the variables of a file that `grid_image` made, as it takes them.

    Raises
    ------
    InputError
        For a file that cannot be read as one.
    """
    try:
        return grid_of(pathlib.Path(path).read_bytes())
    except FileNotFoundError:
        raise checks.InputError(
            f"{path}: there is no table yet, let the sweep come to its end"
        ) from None
    except (OSError, RuntimeError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise checks.InputError(
            f"{path}: is no table of a sweep ({reason}), run the sweep again, which writes it anew"
        ) from None


def _put(file, name, values):
    values = np.asarray(values)
    if values.dtype.kind in "biu":
        return file.create_dataset(name, data=values.astype("<i8"))
    if values.dtype.kind == "f":
        return file.create_dataset(name, data=values.astype("<f8"))
    return file.create_dataset(name, data=values.astype(object), dtype=TEXT)
