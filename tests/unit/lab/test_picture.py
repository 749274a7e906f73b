"""Pictures, and what becomes of them without memory."""

import resource
import subprocess
import sys

import pytest

from stormproof.lab.picture import PLACEHOLDER, SCRATCH_BYTES, make_picture

HUNGRY = f"""
import resource
from stormproof.lab.picture import PictureFailedError, make_picture
used = int(open("/proc/self/statm").read().split()[0]) * {resource.getpagesize()}
for spare in ({SCRATCH_BYTES} * 2, {SCRATCH_BYTES} // 2):
    resource.setrlimit(resource.RLIMIT_AS, (used + spare, resource.RLIM_INFINITY))
    try:
        print(len(make_picture(1)) > 16)
    except PictureFailedError as error:
        print(error)
"""


def test_a_picture_is_its_products_own() -> None:
    """Each product has another one, the same every time, larger than the placeholder."""
    assert make_picture(1) == make_picture(1) != make_picture(2)
    assert len(make_picture(1)) > len(PLACEHOLDER)
    assert make_picture(1).startswith(b"P5 4 4 255\n")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_without_memory_there_is_none() -> None:
    """With enough to spare it is made; with less than it takes it fails in the one way that the shop knows."""
    done = subprocess.run([sys.executable, "-c", HUNGRY], capture_output=True, text=True, timeout=30, check=True)
    made, failed = done.stdout.splitlines()

    assert made == "True"
    assert failed.startswith("no memory for the picture of product 1")
