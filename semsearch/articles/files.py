"""Which files the user means: folders, files and patterns to a sorted list of paths.

Invariants: every file comes once, whatever names lead to it; no link inside a folder leads out of it; hidden files and the
folders that hold an index are passed over.

Deliberately not here: what is in the files.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from semsearch.articles.decode import printable
from semsearch.errors import InputError
from semsearch.records import INDEX_DATABASE, Problem

__all__ = ["MARKDOWN", "SUFFIXES", "Found", "SourceFile", "find"]

TEXT = frozenset({".txt", ".text"})
MARKDOWN = frozenset({".md", ".markdown", ".mdown"})
HTML = frozenset({".html", ".htm", ".xhtml"})
JSONL = frozenset({".jsonl", ".ndjson"})
SUFFIXES = TEXT | MARKDOWN | HTML | JSONL


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to read: ``path`` is absolute with links resolved, ``source`` the name that the user knows it by."""

    path: Path
    source: str

    @property
    def suffix(self) -> str:
        """What tells the kind of file: the suffix of the name it goes by, or of what a link by that name leads to."""
        known = Path(self.source).suffix.lower()
        return known if known in SUFFIXES else self.path.suffix.lower()


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
        passed_over = path.name.startswith(".") or path.suffix.lower() not in SUFFIXES
        if passed_over and os.path.isfile(path):  # noqa: PTH113 (is_file raises in a folder that may not be entered)
            return False
        in_folder = any(path.is_relative_to(folder) for folder in self.folders)
        return in_folder or any(_matches(path.parts, Path(pattern).parts) for pattern in self.patterns)


def find(sources: Sequence[str | os.PathLike[str]]) -> Found:
    """The files that the sources stand for, and what could not be followed.

    A source is a file (of any suffix), a folder (read recursively, files with one of `SUFFIXES`) or a glob pattern.

    :raises InputError: if there is no source, or one names nothing that exists.
    """
    if not sources:
        raise InputError("no articles named: give a file, a folder or a pattern")
    found: dict[Path, SourceFile] = {}
    problems: list[Problem] = []
    folders: list[Path] = []
    patterns: list[str] = []
    for source in [os.path.expanduser(os.fspath(source)) for source in sources]:
        if not os.path.lexists(source):
            patterns.append(_absolute(source))
        for match in _expand(source):
            if os.path.isdir(match):
                folders.append(Path(match).resolve())
            for item in _walk(match):
                if isinstance(item, Problem):
                    problems.append(item)
                else:
                    found.setdefault(item.path, item)
    return Found(sorted(found.values(), key=lambda file: str(file.path)), problems, folders, patterns)


def _expand(source: str) -> list[str]:
    if os.path.lexists(source):
        return [source]
    matches = sorted(glob.glob(source, recursive=True)) if glob.has_magic(source) else []
    if not matches:
        kind = "nothing matches" if glob.has_magic(source) else "no such file or folder:"
        raise InputError(f"{kind} {source!r}: check the path, relative to {os.getcwd()}")
    return matches


def _absolute(pattern: str) -> str:
    """A pattern from the root on, the folders that it names resolved and safe from being read as patterns themselves."""
    parts = Path(pattern).parts
    named = next((at for at, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return os.path.join(glob.escape(str(Path(*parts[:named]).resolve())), *parts[named:])


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a pattern stands for a path or for a folder above it."""
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_matches(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _walk(top: str) -> Iterator[SourceFile | Problem]:
    """The files below a path that was named: itself, if it is a file."""
    resolved = _resolve(top)
    if isinstance(resolved, Problem):
        yield resolved
    elif resolved.is_dir():
        yield from _walk_folder(top, resolved)
    elif resolved.is_file():
        yield SourceFile(resolved, _label(top))
    else:
        yield Problem(_label(top), "neither a file nor a folder")


def _walk_folder(top: str, root: Path) -> Iterator[SourceFile | Problem]:
    unreadable: list[Problem] = []

    def refuse(error: OSError) -> None:
        unreadable.append(Problem(_label(error.filename or top), f"cannot be listed: {error.strerror}"))

    for folder, folders, files in os.walk(top, onerror=refuse):
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name not in links and not os.path.exists(os.path.join(folder, name, INDEX_DATABASE))
        )
        for name in sorted([*links, *files]):
            if name.startswith(".") or (name in files and Path(name).suffix.lower() not in SUFFIXES):
                continue
            label = os.path.join(folder, name)
            path = _resolve(label)
            if isinstance(path, Problem):
                yield path
            elif not path.is_relative_to(root):
                yield Problem(_label(label), "a link that leads out of its folder: name its target to index it")
            elif path.is_file():
                yield SourceFile(path, _label(label))
    yield from unreadable


def _resolve(name: str) -> Path | Problem:
    if printable(name) != name:
        return Problem(_label(name), "a file name that is not text: rename it")
    try:
        return Path(name).resolve(strict=True)
    except FileNotFoundError:
        return Problem(_label(name), "a link to a file that is not there")
    except (OSError, RuntimeError):  # RuntimeError: a loop, before Python 3.13
        return Problem(_label(name), "a link that leads back to itself, or a path that cannot be followed")


def _label(name: str) -> str:
    return printable(Path(os.path.normpath(name)).as_posix())
