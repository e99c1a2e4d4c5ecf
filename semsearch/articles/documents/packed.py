"""What is packed, looked at before it is unpacked: gzip and ZIP, bounded in bytes, in parts and in depth.

Deliberately not here: what the parts say.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence

from semsearch.errors import InputError

__all__ = ["UNPACKING_ERRORS", "Package", "gunzipped", "is_gzip"]

UNPACKING_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError)
"""What zipfile lets out of a damaged package, or of one that is packed in a way that it does not know."""

_MAX_PART = 64 * 2**20
"""Bytes of a part of a package that is read, unpacked: the text of a book of a thousand pages takes 3 MB of them."""
_MAX_PARTS = 20_000
_MAX_READ = 256 * 2**20
"""Bytes of all parts that are read."""
_GZIP = b"\x1f\x8b"
_FIRST_STEP = 512
_STEP = 2**16
_MOST_AT_ONCE = 2**20
_MAX_MEMBERS = 200_000
"""Pieces that were packed each by itself; of a file that is made of them (bgzip) each has some 60 KB."""


def is_gzip(data: bytes) -> bool:
    """Whether some bytes were packed by gzip."""
    return data.startswith(_GZIP)


def gunzipped(data: bytes, limit: int) -> bytes:
    """What gzip packed, all its members.

    :param limit: bytes that may come of it.
    :raises InputError: if it is more, damaged, or packed once more.
    """
    parts: list[bytes] = []
    view, at, left = memoryview(data), 0, limit
    try:
        for _ in range(_MAX_MEMBERS):
            if bytes(view[at : at + 2]) != _GZIP:
                break
            member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
            # What is not used of a piece is copied: of a small member little is given.
            step = _FIRST_STEP
            while not member.eof:
                piece = view[at : at + step]
                part = member.decompress(piece, min(_MOST_AT_ONCE, left + 1))
                used = len(piece) - len(member.unconsumed_tail) - len(member.unused_data)
                if not used and not part and not member.eof:
                    raise InputError("a damaged gzip file: it ends too early")
                at += used
                left -= len(part)
                if left < 0:
                    raise InputError(f"more than {limit / 2**20:,.0f} MB when unpacked: unpack and split the file")
                parts.append(part)
                step = min(_STEP, 2 * step)
    except zlib.error as error:
        raise InputError("a damaged gzip file, which cannot be unpacked") from error
    # Tapes are filled up with zeros.
    if bytes(view[at:]).strip(b"\0"):
        raise InputError("a damaged gzip file: something else follows what was packed")
    unpacked = b"".join(parts)
    if is_gzip(unpacked):
        raise InputError("packed twice: unpack it once")
    return unpacked


class Package:
    """A ZIP file whose parts are read by name. ``names`` are those of its parts.

    :raises InputError: if it is damaged or encrypted, or has too many parts.
    """

    def __init__(self, data: bytes, kind: str) -> None:
        self._kind = kind
        self._left = _MAX_READ
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        except UNPACKING_ERRORS as error:
            if data.startswith(b"\xd0\xcf\x11\xe0"):
                raise InputError(f"encrypted, or of an earlier format: save it as {kind} without a password") from error
            raise InputError(f"a damaged {kind} file, which cannot be unpacked") from error
        self.names = self._archive.namelist()
        if len(self.names) > _MAX_PARTS:
            raise InputError(f"{len(self.names):,} parts, more than {_MAX_PARTS:,}: it is not read")
        if any(part.flag_bits & 1 for part in self._archive.infolist()):
            raise InputError("encrypted: save it without its password")

    def check(self, suffixes: Sequence[str] = (".xml", ".rels")) -> None:
        """Refuse a package whose parts with such names are more than can be read, before a library reads them."""
        for part in self._archive.infolist():
            if part.filename.lower().endswith(tuple(suffixes)):
                self._take(part)

    def read(self, name: str) -> bytes:
        """A part, b"" if there is none by this name.

        :raises InputError: if it is too large or damaged.
        """
        try:
            part = self._archive.getinfo(name)
        except KeyError:
            return b""
        self._take(part)
        try:
            # No more comes of it than the package says: zipfile sees to that.
            return self._archive.read(part)
        except UNPACKING_ERRORS as error:
            raise InputError(f"a damaged {self._kind} file: {name} cannot be unpacked") from error

    def _take(self, part: zipfile.ZipInfo) -> None:
        self._left -= part.file_size
        if part.file_size > _MAX_PART or self._left < 0:
            raise InputError(f"{part.filename} has {part.file_size / 2**20:,.0f} MB when unpacked, more than is read: split it")
