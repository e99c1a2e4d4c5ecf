"""What a lexical index says of itself, beside tantivy's own files.

Deliberately not here: the files of tantivy.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["FACTS", "Facts", "is_lexical_file"]

FACTS = "lexical.json"
_LOCKS = (".tantivy-meta.lock", ".tantivy-writer.lock")
_SEGMENT = re.compile(r"[0-9a-f]{32}(?:\.\d+)?\.(?:term|idx|pos|fast|fieldnorm|store|del|temp|store\.temp)\Z")
_DRAFT = re.compile(r"\.tmp[0-9A-Za-z]{6}\Z")
"""What tantivy writes before it renames it, and leaves where it is killed in between."""
_DATA = ("meta.json", ".managed.json", FACTS)


@dataclass(frozen=True, slots=True)
class Facts:
    """``version`` of the analysis, how many rows each language has, and rows deleted that still weigh on frequencies."""

    version: int
    languages: dict[str, int]
    deleted: int = 0

    @classmethod
    def read(cls, folder: Path) -> Facts:
        """The facts in a folder.

        :raises ValueError: if they are not what they should be.
        :raises OSError: if they cannot be read.
        """
        stored = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        try:
            languages = {str(language): int(count) for language, count in stored["languages"].items()}
            return cls(int(stored["version"]), languages, int(stored["deleted"]))
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{folder / FACTS} holds something else") from error

    def write(self, folder: Path) -> None:
        """Put the facts into a folder."""
        (folder / FACTS).write_text(json.dumps(asdict(self), sort_keys=True), encoding="utf-8")


def is_lexical_file(name: str, *, locks: bool = True) -> bool:
    """Whether a name is one of a lexical index's files; ``locks`` says whether what belongs to its writer alone is, too."""
    if name in _DATA or _SEGMENT.match(name) is not None:
        return True
    return locks and (name in _LOCKS or _DRAFT.match(name) is not None)
