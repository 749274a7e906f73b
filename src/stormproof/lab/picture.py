"""Pictures of products, and the memory that making one takes.

A thumbnail takes a few megabytes for a moment, which a process may be refused. Here the room is asked for, and little
of it is used, so that it costs next to nothing while there is enough.
"""

from __future__ import annotations

import mmap

SCRATCH_BYTES = 16 << 20  # a photograph of four megapixels, unpacked
_SIDE = 4
_TYPE = b"P5 %d %d 255\n"  # a portable graymap
PLACEHOLDER = _TYPE % (1, 1) + b"\x80"


class PictureFailedError(Exception):
    """There was no memory to make the picture in."""


def make_picture(product: int) -> bytes:
    """The picture of *product*; raises `PictureFailedError`."""
    try:
        scratch = mmap.mmap(-1, SCRATCH_BYTES)
    except (OSError, MemoryError, ValueError) as error:
        raise PictureFailedError(f"no memory for the picture of product {product}: {error}") from error
    with scratch:
        rows = range(0, SCRATCH_BYTES, SCRATCH_BYTES // _SIDE**2)
        for offset in rows:
            scratch[offset] = (product * 17 + offset // (SCRATCH_BYTES // _SIDE**2) * 31) % 256
        return _TYPE % (_SIDE, _SIDE) + bytes(scratch[offset] for offset in rows)
