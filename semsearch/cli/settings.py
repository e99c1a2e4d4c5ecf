"""Settings out of ``semsearch.toml`` or ``pyproject.toml``: what options are where neither the command line nor the environment
says it.

A file that was merely found where the command runs may be somebody else's. It is named on stderr, and only parsed if it belongs
to the user or to the system. What reaches out of its folder or to the network (a model of the hub, a host to listen on, a
cluster, an index elsewhere) is only taken from a file that the user names.

Deliberately not here: what the options mean (the commands), settings that are secrets or acts (a token, ``fresh``).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click

from semsearch.cli.output import note
from semsearch.errors import InputError
from semsearch.records import is_engine

__all__ = ["CONFIG", "settings_of", "shown"]

CONFIG = "SEMSEARCH_CONFIG"
"""Names the environment variable that names the file of settings."""
_OWN = "semsearch.toml"
_SHARED = "pyproject.toml"
_TABLE = "tool.semsearch"
_COMMANDS = "commands"
_ROOTS = (".git", ".hg", ".svn")
_NEVER = frozenset(
    {"encode", "fresh", "help", "open", "output", "probes-out", "query-id", "repair", "report", "run", "save", "token", "watch"}
)
"""Acts, secrets, and files that are written: they are said each time."""
_TRUSTED = frozenset({"host", "allow-host", "cluster"})
_MODELS = frozenset({"model", "rerank"})
_APART = frozenset({"bench", "diff", "eval", "model"})
"""Commands to which only their own table applies: what is measured must not depend on how one likes to be answered."""
_PATHS = frozenset({"index", "queries", "against"})
"""Paths, which are meant from the folder of the file on."""
_MOST_BYTES = 2**20


class _File(NamedTuple):
    path: Path
    table: Mapping[str, Any]
    named: bool
    """Whether the user named it, and it was not only found."""


def settings_of(group: click.Group, named: str | None) -> tuple[dict[str, Any], Path | None]:
    """What click takes as its ``default_map``, and the file that it was found in; nothing, and None, where there is none.

    :param named: the file that the user names; None for the one that is found in the working directory or above.
    :raises InputError: if the file cannot be read, or says what no option can be.
    """
    file = _named(Path(named)) if named else _found()
    if file is None:
        return {}, None
    options = {name: dict(_options(command)) for name, command in group.commands.items()}
    settings: dict[str, dict[str, Any]] = {name: {} for name in options}
    table = dict(file.table)
    of_commands = table.pop(_COMMANDS, {})
    for key, value in table.items():
        takers = [name for name, known in options.items() if name not in _APART and _plain(key) in known]
        if not takers:
            everything = {option for name, known in options.items() if name not in _APART for option in known} | {_COMMANDS}
            raise _unknown(file, key, everything)
        for name in takers:
            option = options[name][_plain(key)]
            settings[name][option.name or ""] = _value(file, key, option, value)
    if not isinstance(of_commands, dict):
        raise _wrong(file, _COMMANDS, "is no table")
    for name, of_command in of_commands.items():
        if name not in options:
            raise _unknown(file, name, set(options), f" in {_COMMANDS}")
        if not isinstance(of_command, dict):
            raise _wrong(file, f"{_COMMANDS}.{name}", "is no table")
        for key, value in of_command.items():
            found = options[name].get(_plain(key))
            if found is None:
                raise _unknown(file, key, set(options[name]), f" for semsearch {name}")
            settings[name][found.name or ""] = _value(file, key, found, value)
    return settings, file.path


def _options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """The options of a command by their longest name, without those that are never set so."""
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            name = _plain(max(parameter.opts, key=len))
            if name not in _NEVER:
                yield name, parameter


def _plain(key: str) -> str:
    return key.lstrip("-").replace("_", "-")


def _found() -> _File | None:
    """The nearest file with settings, up to the top of the repository, the user's home or the file system."""
    here, home = _here_and_home()
    if here is None:
        return None
    for folder in (here, *here.parents):
        for name in (_OWN, _SHARED):
            path = folder / name
            # Not is_file, which raises in a folder that may not be entered.
            if not os.path.isfile(path):  # noqa: PTH113
                continue
            data = _read_found(path)
            table = None if data is None else _table(path, data, named=False)
            if table is not None:
                return _File(path, table, named=False)
        if folder == home or any(os.path.lexists(folder / root) for root in _ROOTS):
            return None
    return None


def _here_and_home() -> tuple[Path | None, Path | None]:
    """The working directory, None where it was removed, and the user's home, None where nobody knows it."""
    try:
        here = Path.cwd()
    except OSError:
        return None, None
    try:
        return here, Path.home()
    except RuntimeError:
        return here, None


def _read_found(path: Path) -> bytes | None:
    """Return the content of a file that was found; None if it is another user's, not a regular file, or cannot be read.

    Owner and content are read through one descriptor, because the path may be replaced between two calls.

    :raises InputError: if a file of the user's own, named ``semsearch.toml``, cannot be read.
    """
    try:
        # O_NONBLOCK: do not wait for the writer of a pipe.
        flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
        with open(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                return None
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        if path.name == _SHARED or not os.path.isfile(path):  # noqa: PTH113 (is_file raises in a folder that may not be entered)
            return None
        status, data = path.stat(), b""
        if _is_ours(status):
            raise _unreadable(path, error) from error
    if _is_ours(status):
        return data
    if path.name == _OWN or b"[tool.semsearch" in data:
        note(f"{shown(path)} belongs to another user and is ignored; to use it, add --config {shown(path)}")
    return None


def _is_ours(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid in (os.getuid(), 0)


def _named(path: Path) -> _File:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    table = _table(path, data, named=True)
    if table is None:
        raise InputError(f"{path} has no table [{_TABLE}]: add one or leave --config out")
    return _File(path.resolve(), table, named=True)


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read ({error.strerror or error}): check its permissions, or add --no-config")


def _table(path: Path, data: bytes, *, named: bool) -> Mapping[str, Any] | None:
    """Return the settings in the content of a file; None for a ``pyproject.toml`` that is not about semsearch.

    :raises InputError: if it is not TOML; of a ``pyproject.toml`` that was only found, only if it is about semsearch.
    """
    shared = path.name == _SHARED
    if shared and b"semsearch" not in data:
        return None
    if len(data) > _MOST_BYTES:
        raise InputError(f"{path} has more than {_MOST_BYTES:,} bytes: give a file of settings")
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: dict[str, Any] = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        if shared and not named and b"[tool.semsearch" not in data:
            return None
        raise InputError(f"{shown(path)} is not TOML ({error}): mend it, or add --no-config") from error
    if not shared:
        return document
    tool = document.get("tool")
    table = tool.get("semsearch") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise InputError(f"{shown(path)}: {_TABLE} is no table: write [{_TABLE}]")
    return table


def _value(file: _File, key: str, option: click.Option, value: Any) -> Any:
    """A setting as the option takes it.

    :raises InputError: if it is of another type, out of its bounds, or not for a file that was only found.
    """
    name = _plain(key)
    values = value if option.multiple and isinstance(value, list) else [value]
    for single in values:
        _check_type(file, key, option, single)
    if not file.named:
        if name in _TRUSTED:
            raise _untrusted(file, key)
        if name == "index" and any(map(is_engine, values)):
            raise _untrusted(file, key)
        if name in _MODELS and not all(_is_at_hand(file, str(single)) for single in values):
            raise _untrusted(file, key)
    if name in _PATHS | _MODELS:
        values = [_from_file(file, str(single), only_if_there=name in _MODELS) for single in values]
        top = file.path.parent.resolve()
        outside = any(not is_engine(single) and not Path(single).resolve().is_relative_to(top) for single in values)
        if not file.named and name in _PATHS and outside:
            raise _untrusted(file, key)
    given = tuple(values) if option.multiple else values[0]
    try:
        option.type_cast_value(click.Context(click.Command("semsearch")), given)
    except click.BadParameter as error:
        raise _wrong(file, key, error.message.rstrip(".")) from error
    return given


def _check_type(file: _File, key: str, option: click.Option, value: Any) -> None:
    if option.is_flag:
        if not isinstance(value, bool):
            raise _wrong(file, key, f"is {_kind(value)}, and must be true or false")
    elif isinstance(option.type, click.types.IntParamType):
        if not isinstance(value, int) or isinstance(value, bool):
            raise _wrong(file, key, f"is {_kind(value)}, and must be a whole number")
    elif isinstance(option.type, click.types.FloatParamType):
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _wrong(file, key, f"is {_kind(value)}, and must be a number")
    elif not isinstance(value, str):
        raise _wrong(file, key, f"is {_kind(value)}, and must be a text{' or a list of texts' if option.multiple else ''}")


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date")


def _is_at_hand(file: _File, model: str) -> bool:
    """Whether a model is the bundled one or a folder, and not one that would be fetched."""
    from semsearch.encoder.model import DEFAULT_MODEL

    return model == DEFAULT_MODEL or (file.path.parent / model).is_dir()


def _from_file(file: _File, value: str, *, only_if_there: bool) -> str:
    """A path that is meant from the folder of the file on, as it is from the working directory on."""
    if is_engine(value):
        return value
    path = file.path.parent / Path(value).expanduser()
    if only_if_there and not path.is_dir():
        return value
    return str(path) if Path(value).expanduser().is_absolute() else os.path.relpath(path)


def shown(path: Path) -> str:
    """A path from the working directory on, where that is not far."""
    near = os.path.relpath(path)
    return str(path) if near.count("..") > 2 else near


def _unknown(file: _File, key: str, known: set[str], where: str = "") -> InputError:
    from difflib import get_close_matches

    near = get_close_matches(_plain(key), sorted(known), 2, 0.6)
    if _plain(key) in _NEVER:
        return InputError(f"{shown(file.path)}: {key} is not for a file: give it on the command line")
    advice = f"did you mean {' or '.join(near)}?" if near else f"{', '.join(sorted(known))} are known"
    return InputError(f"{shown(file.path)}: there is no setting {key}{where}: {advice}")


def _wrong(file: _File, key: str, what: str) -> InputError:
    return InputError(f"{shown(file.path)}: {key} {what}: see semsearch --help")


def _untrusted(file: _File, key: str) -> InputError:
    name = shown(file.path)
    return InputError(
        f"{name}: {key} reaches out of its folder or to the network, which a file that was only found may not: "
        f"add --config {name} to allow it, or --no-config"
    )
