"""Which files the user means: folders, files and patterns to a sorted list of paths.

Invariants: every file comes once, whatever names lead to it; no link inside a folder leads out of it, and no match of a pattern
out of the folder that the pattern names before its first wildcard; links to folders are followed only where they are named or
matched by name, so that no ring of them is gone round; hidden files and the folders that hold an index are passed over.

Deliberately not here: what is in the files.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from semsearch.articles.decode import printable
from semsearch.articles.documents import KINDS
from semsearch.errors import InputError
from semsearch.records import INDEX_DATABASE, Problem, is_address
from semsearch.redaction import index_scheme

__all__ = ["SUFFIXES", "Content", "Found", "SourceFile", "find", "folders_below", "kind_named", "read_regular"]

SUFFIXES = frozenset(KINDS)
"""Of files that are found in folders; ``.gz`` may follow each."""
_PACKED = ".gz"

_LEADS_OUT = "leads out of its folder: name its target to index it"


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
            base = Path(*_named(source)).resolve()
            matches = _expand(source, base)
        walked: set[Path] = set()
        for match in matches:
            if isinstance(match, Problem):
                problems.append(match)
                continue
            if os.path.isdir(match) and (base is None or Path(match).resolve().is_relative_to(base)):
                folder = Path(match).resolve()
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
    return os.path.join(glob.escape(str(Path(*named).resolve())), *Path(pattern).parts[len(named) :])


def _expand(pattern: str, base: Path) -> list[str | Problem]:
    """What a pattern matches, and the links met on the way that lead out of its ``base``.

    As `glob.glob` does it, but that ``**`` follows no links: two that lead to their own folder have it go round for ever.

    :raises InputError: if it matches nothing.
    """
    refused: list[Problem] = []
    parts = Path(pattern).parts
    paths = [""]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if not glob.has_magic(part):
            paths = [path for path in (os.path.join(path, part) for path in paths) if os.path.lexists(path)]
        elif part == "**":
            paths = [path for top in paths for path in _below(top, files=last)]
        else:
            paths = [os.path.join(path, name) for path in paths for name in _names(path) if _fits(name, part)]
            paths = paths if last else _entered(paths, base, refused)
    if not paths or not glob.has_magic(pattern):
        kind = "nothing matches" if glob.has_magic(pattern) else "no such file or folder:"
        raise InputError(f"{kind} {pattern!r}: check the path, relative to {os.getcwd()}")
    # A file is known by its own name rather than by a link's.
    return [*refused, *sorted(set(paths), key=lambda path: (os.path.islink(path), path))]


def _fits(name: str, part: str) -> bool:
    return fnmatch.fnmatch(name, part) and (part.startswith(".") or not name.startswith("."))


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder or "."))
    except OSError:
        return []


def _entered(paths: Sequence[str], base: Path, refused: list[Problem]) -> list[str]:
    """Those of some paths that are folders below the base, each once; links are behind the folders that they lead to."""
    entered: dict[str, str] = {}
    for path in sorted(filter(os.path.isdir, paths), key=os.path.islink):
        real = Path(path).resolve()
        if not real.is_relative_to(base):
            refused.append(Problem(_label(path), f"a link that {_LEADS_OUT}"))
        else:
            entered.setdefault(str(real), path)
    return list(entered.values())


def folders_below(top: str) -> Iterator[str]:
    """A folder and all in which articles are looked for when it is named."""
    return _below(top, files=False)


def _below(top: str, *, files: bool) -> Iterator[str]:
    """A folder, all folders below it, and their files if these are wanted; hidden ones, indexes and links are passed over."""
    if not os.path.isdir(top or "."):
        return
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        if folder:
            yield folder
        for name in _names(folder):
            path = os.path.join(folder, name)
            if name.startswith("."):
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                waiting += [] if _holds_index(path) else [path]
            elif files:
                yield path


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
        yield Problem(_label(top), f"a {'path' if '..' in Path(top).parts else 'link'} that {_LEADS_OUT}")
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
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError as error:
            yield Problem(_label(folder), f"cannot be listed: {error.strerror or error}")
            continue
        folders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                is_folder, is_file = entry.is_dir(follow_symlinks=False), entry.is_file(follow_symlinks=False)
            except OSError as error:  # on a disk whose listings do not tell, in a folder that may only be listed
                yield Problem(_label(entry.path), f"cannot be looked at: {error.strerror or error}")
                continue
            if is_folder:
                folders += [] if _holds_index(entry.path) else [(entry.path, real / entry.name)]
                continue
            is_link = entry.is_symlink()
            if not kind_named(entry.name) and not (is_link and os.path.isdir(entry.path)):
                continue
            path = _resolve(entry.path, None if is_link else real / entry.name)
            if isinstance(path, Problem):
                yield path
            elif not path.is_relative_to(root):
                yield Problem(_label(entry.path), f"a link that {_LEADS_OUT}")
            elif path.is_file() if is_link else is_file:
                yield SourceFile(path, _label(entry.path))
        waiting += reversed(folders)


def read_regular(path: Path, limit: int) -> tuple[bytes, int]:
    """The bytes of a file, as many as ``limit`` allows, and its size as the system tells it.

    What has come in the place of the file since it was found is not read: neither what a link leads to nor a pipe, for which one
    would wait.

    :param path: without links.
    :raises OSError: if it cannot be read, or is no longer a file.
    """
    flags = (getattr(os, name, 0) for name in ("O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"))
    with open(os.open(path, os.O_RDONLY | sum(flags)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("no longer a file")
        return file.read(limit), status.st_size


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


def _label(name: str) -> str:
    return printable(Path(os.path.normpath(name)).as_posix())
