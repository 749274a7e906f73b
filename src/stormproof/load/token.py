"""The token that a conductor and its load workers on other machines share: a file, never an argument, never sent."""

from __future__ import annotations

import stat
from pathlib import Path

from stormproof.errors import InputError

# Whoever records a handshake may try tokens against it at home, so it must be out of reach of trying: 32 characters of
# hexadecimal digits are 128 bits.
TOKEN_BYTES_MIN = 32
TOKEN_BYTES_MAX = 4096
_HINT = "(umask 077; head -c 32 /dev/urandom | base64 > FILE), and copy it to each worker's machine"


def read_token(path: Path) -> bytes:
    """The content of *path* without the white space around it.

    Raises `InputError` for a file that is not there, that others may read, or that holds too little or too much.
    """
    try:
        mode = path.stat().st_mode
        token = path.read_bytes().strip()
    except OSError as error:
        raise InputError(
            where=str(path), what="", expected="a token file", got=str(error.strerror), hint=_HINT
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            where=str(path),
            what="",
            expected="a token file that only its owner may read",
            got=f"mode {stat.S_IMODE(mode):04o}",
            hint=f"chmod 600 {path}",
        )
    if not TOKEN_BYTES_MIN <= len(token) <= TOKEN_BYTES_MAX:
        expected = f"{TOKEN_BYTES_MIN} to {TOKEN_BYTES_MAX} characters that nobody can guess"
        raise InputError(where=str(path), what="", expected=expected, got=f"{len(token)}", hint=_HINT)
    return token
