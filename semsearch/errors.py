"""The error tree: everything semsearch raises on purpose.

::

    SemsearchError
    |-- InputError (ValueError)     a path, an option or a question that cannot be used
    |-- IndexMissing                no index where one was asked for
    |-- IndexCorrupt                an index whose files do not agree with each other
    |-- IndexLocked                 another process is writing to the index
    |-- IndexTooNew                 written by a later semsearch than this one
    |-- ModelMismatch               the index was built with another model
    |-- ModelUnavailable            the model cannot be found, read or trusted
    |-- MissingExtra (ImportError)  an optional package is not installed
    `-- EngineError                 an engine outside this process failed

Every message is one line, ends with what to do next, and contains no secrets (`redaction` removes them). Errors of other
libraries are turned into these at the border, in the one module that calls the library.
"""

from __future__ import annotations

from semsearch.redaction import redact

__all__ = [
    "EngineError",
    "IndexCorrupt",
    "IndexLocked",
    "IndexMissing",
    "IndexTooNew",
    "InputError",
    "MissingExtra",
    "ModelMismatch",
    "ModelUnavailable",
    "SemsearchError",
]


class SemsearchError(Exception):
    """Base of every error that semsearch raises on purpose."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(redact(value) if isinstance(value, str) else value for value in args))


class InputError(SemsearchError, ValueError):
    """A path, an option or a question that cannot be used."""


class IndexMissing(SemsearchError):
    """There is no index where one was asked for."""


class IndexCorrupt(SemsearchError):
    """The files of the index do not agree with each other."""


class IndexLocked(SemsearchError):
    """Another process is writing to the index."""


class IndexTooNew(SemsearchError):
    """The index was written by a later version of semsearch."""


class ModelMismatch(SemsearchError):
    """The index was built with another model than the one at hand."""


class ModelUnavailable(SemsearchError):
    """The model cannot be found, read or trusted."""


class MissingExtra(SemsearchError, ImportError):
    """An optional package is not installed; the message has the pip line."""


class EngineError(SemsearchError):
    """An engine outside this process failed."""
