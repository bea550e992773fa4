"""Named tables of columns as one CSV or HDF5 file: what figures and studies are made of."""

import csv
import io
import pathlib

import numpy as np

from wgf import checks


def check_path(path):
    """Return the path of a table file or raise `InputError` for an ending other than the two."""
    path = pathlib.Path(path)
    if path.suffix not in (".csv", ".h5"):
        raise checks.InputError(f"data: {path} ends in neither .csv nor .h5, choose one of the two")
    if not path.parent.is_dir():
        raise checks.InputError(f"data: no folder {path.parent}, create it")
    return path


def write(path, tables, attributes=None):
    """Write ``{(name, …): {column: array}}`` to a ``.csv`` or an ``.h5`` file, replacing it.

    In CSV the first columns hold the names and a row leaves columns that its table lacks empty; in
    HDF5 each table is a group below those of its names, each column a dataset.

    Parameters
    ----------
    path : path
    tables : dict
        Tuples of texts, all as long, to dictionaries of arrays of one length.
    attributes : dict, optional
        Texts and numbers for the root of the HDF5 file.

    Raises
    ------
    InputError
        For another ending, before anything is written.
    """
    path = check_path(path)
    if path.suffix == ".csv":
        content = _csv(tables).encode()
    else:
        content = tables_image(tables, attributes or {})
    from wgf.record.directory import replace

    replace(path, content)


def _csv(tables):
    depth = len(next(iter(tables), ()))
    columns = list(dict.fromkeys(name for held in tables.values() for name in held))
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    heads = ("panel", "series")[:depth]
    rows.writerow([*heads, *columns])
    for names, held in tables.items():
        length = len(next(iter(held.values()), ()))
        blank = [""] * length
        for row in zip(*(np.asarray(held[c]).tolist() if c in held else blank for c in columns)):
            rows.writerow([*names, *row])
    return text.getvalue()


def tables_image(tables, attributes):
    """Return the bytes of an HDF5 file of named tables; see `write`."""
    from wgf.record import layout

    with layout.memory_file() as file:
        file.attrs.update(attributes)
        for names, columns in tables.items():
            # a slash would open another group
            group = file.create_group("/".join(name.replace("/", " per ") for name in names))
            for name, values in columns.items():
                values = np.asarray(values)
                text = values.dtype.kind in "US"
                group.create_dataset(name, data=values.astype(object) if text else values)
        return layout.image(file)
