"""Numbers for the page: facts and arrays as compressed bytes that the browser unpacks.

A blob is gzip of the length of a head (4 bytes, little-endian), the head as JSON, padding to a
multiple of 8, and the arrays one after the other. The bytes of an array stand in the order of
their significance, all first bytes and then all second ones, which gzip compresses better; what
the browser reads has the bits of what was stored.
"""

import gzip
import json
import math

import numpy as np

# of gzip: above it little becomes smaller and much takes longer
LEVEL = 5
MOVED = {ord(character): ord(character) + 128 for character in "\0\r<"}


def encode(facts: dict, arrays: dict[str, np.ndarray]) -> bytes:
    """Return a blob of facts that JSON holds and of arrays of float64 or int32.

    Parameters
    ----------
    facts : dict
        What is not finite among the numbers becomes null.
    arrays : dict of arrays
        Whole numbers become int32, all others float64.
    """
    kept = {name: _typed(values) for name, values in arrays.items()}
    told = [
        {"name": name, "shape": values.shape, "kind": values.dtype.str[1:]}
        for name, values in kept.items()
    ]
    head = json.dumps({**_finite(facts), "arrays": told}, allow_nan=False).encode()
    begin = len(head).to_bytes(4, "little") + head
    parts = [begin, bytes(-len(begin) % 8)]
    for values in kept.values():
        size = values.dtype.itemsize
        parts.append(values.reshape(-1).view(np.uint8).reshape(-1, size).T.tobytes())
        parts.append(bytes(-values.nbytes % 8))
    return gzip.compress(b"".join(parts), LEVEL, mtime=0)


def text(blob: bytes) -> str:
    """Return a blob as a page holds it: seven bits a character, which base64 has six of.

    What HTML does not keep or takes for a tag is moved by 128, which the browser takes off again.
    """
    bits = np.unpackbits(np.frombuffer(blob, np.uint8))
    bits = np.append(bits, np.zeros(-len(bits) % 7, np.uint8)).reshape(-1, 7)
    characters = np.packbits(bits, axis=1).ravel() >> 1
    return characters.tobytes().decode("ascii").translate(MOVED)


def _typed(values):
    values = np.asarray(values)
    kind = "<i4" if values.dtype.kind in "iu" else "<f8"
    return np.ascontiguousarray(values, dtype=kind)


def _finite(value):
    """Return what JSON holds: null for what is not finite, plain numbers for those of NumPy."""
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
