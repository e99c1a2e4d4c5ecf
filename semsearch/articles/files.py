"""Which files the user means: folders, files and patterns to a sorted list of paths.

Invariants: every file comes once, whatever names lead to it; no link inside a folder leads out of it, and no match of a pattern
out of the folder that the pattern names before its first wildcard; links to folders are followed only where they are named or
matched by name, so that no ring of them is gone round; hidden files and the folders that hold an index are passed over. A path
that was resolved is opened without following a link (`nofollow`), so the opened file is the checked one.

Deliberately not here: what is in the files.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from semsearch.articles.decode import printable
from semsearch.articles.documents import KINDS
from semsearch.articles.nofollow import list_folder, open_file
from semsearch.errors import InputError
from semsearch.records import INDEX_DATABASE, Problem, is_address
from semsearch.redaction import index_scheme

__all__ = ["SUFFIXES", "Content", "Found", "SourceFile", "find", "folders_below", "kind_named", "read_regular"]

SUFFIXES = frozenset(KINDS)
"""Of files that are found in folders; ``.gz`` may follow each."""
_PACKED = ".gz"

_LEADS_OUT = "leads out of its folder: name its target to index it"
_CHUNK = 2**16
"""Minimum size of a read, in bytes. A larger file is read in one step: joining parts needs twice the memory."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read: ``path`` is absolute with links resolved, ``source`` the name that the user knows it by.

    Of a page or feed to fetch, ``address`` is where from, and so are the others; it is "" for a file.
    """

    path: Path
    source: str
    address: str = ""

    @property
    def kind(self) -> str:
        """The kind of file by the name it goes by, or by that of what a link by that name leads to; "" if neither tells."""
        return "" if self.address else kind_named(self.source) or kind_named(self.path.name)

    @property
    def key(self) -> Path | str:
        """What the file is known by: its path, or its address, of which a path would make another's (``a/`` and ``a``)."""
        return self.address or self.path


class Content(bytes):
    """What was fetched: its bytes and their kind, which a page's name need not tell."""

    kind: str

    def __new__(cls, data: bytes, kind: str = "") -> Content:
        """The bytes of a page or feed, with their kind."""
        content = super().__new__(cls, data)
        content.kind = kind
        return content


@dataclass(frozen=True, slots=True)
class Found:
    """What the sources stand for.

    ``files`` are sorted by path. ``folders`` and ``patterns`` (absolute) say where files were looked for, so that one that
    is no longer there can be told from one that was not asked about.
    """

    files: list[SourceFile]
    problems: list[Problem]
    folders: list[Path]
    patterns: list[str]

    def looked_for(self, path: Path) -> bool:
        """Whether a file that was not found is to be forgotten: files were looked for where it stood.

        A file that is still there, but is never found in a folder because of its name, was named by itself and is kept.
        """
        passed_over = path.name.startswith(".") or not kind_named(path.name)
        if passed_over and os.path.isfile(path):  # noqa: PTH113 (is_file raises in a folder that may not be entered)
            return False
        in_folder = any(path.is_relative_to(folder) for folder in self.folders)
        return in_folder or any(_matches(path.parts, Path(pattern).parts) for pattern in self.patterns)


def find(sources: Sequence[str | os.PathLike[str]]) -> Found:
    """The files that the sources stand for, and what could not be followed.

    A source is a file (of any suffix), a folder (read recursively, files with one of `SUFFIXES`), a glob pattern, or the address
    of a page or feed.

    :raises InputError: if there is no source, or one names nothing that exists.
    """
    if not sources:
        raise InputError("no articles named: give a file, a folder or a pattern")
    found: dict[Path | str, SourceFile] = {}
    problems: list[Problem] = []
    folders: list[Path] = []
    patterns: list[str] = []
    for source in [os.path.expanduser(os.fspath(source)) for source in sources]:
        if is_address(source):
            # Not at the top: it is asked for by few.
            from semsearch.articles.fetch import normal

            address = normal(source)
            found.setdefault(address, SourceFile(Path(address), address, address))
            continue
        base = None
        matches: list[str | Problem] = [source]
        if not os.path.lexists(source):
            if scheme := index_scheme(source):
                raise InputError(
                    f"{scheme}... is the address of an index, not of articles: give it as the index (--index), "
                    "and files, folders or pages as sources"
                )
            patterns.append(_absolute(source))
            base = _real(os.path.join(*_named(source), ""))
            matches = _expand(source, base)
        walked: set[Path] = set()
        for match in matches:
            if isinstance(match, Problem):
                problems.append(match)
                continue
            if os.path.isdir(match) and (base is None or _real(match).is_relative_to(base)):
                folder = _real(match)
                folders.append(folder)
                # A pattern may match a folder and all that is in it, or many links to it.
                if not walked.isdisjoint((folder, *folder.parents)):
                    continue
                walked.add(folder)
            for item in _walk(match, base):
                if isinstance(item, Problem):
                    problems.append(item)
                else:
                    found.setdefault(item.key, item)
    files = sorted(found.values(), key=lambda file: str(file.key))
    return Found(files, list(dict.fromkeys(problems)), list(dict.fromkeys(folders)), patterns)


def kind_named(name: str) -> str:
    """What a file's name says of its kind, packed by gzip or not; "" if nothing."""
    suffixes = [suffix.lower() for suffix in Path(name).suffixes[-2:]]
    if suffixes and suffixes[-1] == _PACKED:
        suffixes.pop()
    return KINDS.get(suffixes[-1], "") if suffixes else ""


def _named(pattern: str) -> tuple[str, ...]:
    """The parts of a pattern before its first wildcard."""
    return tuple(takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))


def _absolute(pattern: str) -> str:
    """A pattern from the root on, the folders that it names resolved and safe from being read as patterns themselves."""
    named = _named(pattern)
    return os.path.join(glob.escape(str(_real(os.path.join(*named, "")))), *Path(pattern).parts[len(named) :])


def _expand(pattern: str, base: Path) -> list[str | Problem]:
    """What a pattern matches, and the links met on the way that lead out of its ``base``.

    As `glob.glob` does it, but that ``**`` follows no links: two that lead to their own folder have it go round for ever.

    :raises InputError: if it matches nothing.
    """
    refused: list[Problem] = []
    parts = Path(pattern).parts
    paths = [""]
    # Resolved paths of folders reached without a link. To resolve each from the root on takes time by the square of the depth.
    known: dict[str, Path] = {}
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if not glob.has_magic(part):
            paths = [path for path in (os.path.join(path, part) for path in paths) if os.path.lexists(path)]
        else:
            tops = _inside(paths, base, refused, known)
            if part == "**":
                below = [found for top, real in tops for found in _below(top, real, files=last)]
                paths = [path for path, _ in below]
                known = dict(below)
                continue
            paths = [os.path.join(top, name) for top, real in tops for name in _names(real) if _fits(name, part)]
            paths = paths if last else _entered(paths, base, refused)
    if not (paths or refused) or not glob.has_magic(pattern):
        kind = "nothing matches" if glob.has_magic(pattern) else "no such file or folder:"
        raise InputError(f"{kind} {pattern!r}: check the path, relative to {os.getcwd()}")
    # A file is known by its own name rather than by a link's.
    return [*refused, *sorted(set(paths), key=lambda path: (os.path.islink(path), path))]


def _fits(name: str, part: str) -> bool:
    return fnmatch.fnmatch(name, part) and (part.startswith(".") or not name.startswith("."))


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in list_folder(folder)]
    except OSError:
        return []


def _inside(
    paths: Sequence[str], base: Path, refused: list[Problem], known: Mapping[str, Path] | None = None
) -> list[tuple[str, Path]]:
    """Return the folders among some paths, each with its resolved path; report those outside the base.

    :param known: resolved paths of some of them.
    """
    inside: list[tuple[str, Path]] = []
    for path in paths:
        real = known[path] if known and path in known else _real(path)
        if real.is_relative_to(base):
            inside.append((path, real))
        elif os.path.isdir(path):
            refused.append(_leads_out(path))
    return inside


def _entered(paths: Sequence[str], base: Path, refused: list[Problem]) -> list[str]:
    """Return the folders below the base among some paths, each once: by its own name rather than by a link's."""
    entered: dict[Path, str] = {}
    for path, real in _inside(sorted(filter(os.path.isdir, paths), key=os.path.islink), base, refused):
        entered.setdefault(real, path)
    return list(entered.values())


def folders_below(top: str) -> Iterator[str]:
    """Yield a folder and all folders below it in which articles are searched.

    :param top: absolute, without links.
    """
    return (folder for folder, _ in _below(top, Path(top), files=False))


def _below(top: str, real: Path, *, files: bool) -> Iterator[tuple[str, Path]]:
    """Yield a folder, all folders below it, and their files on request, each with its path below the resolved path of the folder.

    Hidden files and folders and the folders of indexes are skipped, and no link is followed.

    :param real: the resolved path of ``top``.
    """
    waiting = [(top, real)]
    while waiting:
        folder, real = waiting.pop()
        try:
            entries = list_folder(real)
        except OSError:
            continue
        if folder:
            yield folder, real
        for name, kind, _ in entries:
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            if kind == "folder":
                waiting += [] if _holds_index(path) else [(path, real / name)]
            elif files:
                yield path, real / name


def _holds_index(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, INDEX_DATABASE))


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a pattern stands for a path or for a folder above it."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _walk(top: str, base: Path | None) -> Iterator[SourceFile | Problem]:
    """The files below a path that was named: itself, if it is a file.

    :param base: what it must not lead out of, if it was not named by itself.
    """
    resolved = _resolve(top)
    if isinstance(resolved, Problem):
        yield resolved
    elif base is not None and not resolved.is_relative_to(base):
        yield _leads_out(top)
    elif resolved.is_dir():
        yield from _walk_folder(top, resolved)
    elif resolved.is_file():
        yield SourceFile(resolved, _label(top))
    else:
        yield Problem(_label(top), "neither a file nor a folder")


def _walk_folder(top: str, root: Path) -> Iterator[SourceFile | Problem]:
    # Not os.walk, which before Python 3.12 calls itself for each level.
    waiting = [(top, root)]
    while waiting:
        folder, real = waiting.pop()
        try:
            entries = list_folder(real)
        except OSError as error:
            yield Problem(_label(folder), f"cannot be listed: {error.strerror or error}")
            continue
        folders = []
        for name, kind, reason in entries:
            if name.startswith("."):
                continue
            shown = os.path.join(folder, name)
            if reason:
                yield Problem(_label(shown), f"cannot be looked at: {reason}")
                continue
            if kind == "folder":
                folders += [] if _holds_index(shown) else [(shown, real / name)]
                continue
            is_link = kind == "link"
            if not kind_named(name) and not (is_link and os.path.isdir(shown)):
                continue
            path = _resolve(shown, None if is_link else real / name)
            if isinstance(path, Problem):
                yield path
            elif not path.is_relative_to(root):
                yield _leads_out(shown)
            elif path.is_file() if is_link else kind == "file":
                yield SourceFile(path, _label(shown))
        waiting += reversed(folders)


def read_regular(path: Path, limit: int, *, growing: bool = False) -> tuple[bytes, int]:
    """Return the first bytes of a file, and its size as the system reports it.

    Reject a link or a pipe that has replaced the file since the search.

    :param path: absolute, without links.
    :param limit: maximum number of bytes to return.
    :param growing: read the whole current size, even if it exceeds ``limit``.
    :raises OSError: if the file cannot be read, is no longer a file, or a part of its path is a link.
    """
    handle = open_file(path)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("no longer a file")
        size = status.st_size
        left = max(size, limit) if growing else limit
        parts: list[bytes] = []
        # The size may be wrong: files in /proc have size 0, and a file may grow while it is read.
        while left and (part := os.read(handle, min(left, max(size, _CHUNK)))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts), size
    finally:
        os.close(handle)


def _resolve(name: str, known: Path | None = None) -> Path | Problem:
    """Where a path leads.

    :param known: the answer, if it lies in a folder that was followed and is no link itself: to follow each file from the root on
        took half the time of a walk.
    """
    if printable(name) != name:
        return Problem(_label(name), "a file name that is not text: rename it")
    if known is not None:
        return known
    try:
        return Path(name).resolve(strict=True)
    except FileNotFoundError:
        return Problem(_label(name), "a link to a file that is not there")
    except (OSError, RuntimeError):  # RuntimeError: a loop, before Python 3.13
        return Problem(_label(name), "a link that leads back to itself, or a path that cannot be followed")


def _leads_out(path: str) -> Problem:
    return Problem(_label(path), f"a {'path' if '..' in Path(path).parts else 'link'} that {_LEADS_OUT}")


def _real(path: str) -> Path:
    # Not Path.resolve, which raises RuntimeError for a link to itself before Python 3.13.
    return Path(os.path.realpath(path))


def _label(name: str) -> str:
    return printable(Path(os.path.normpath(name)).as_posix())
