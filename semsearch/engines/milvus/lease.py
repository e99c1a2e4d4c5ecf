"""One writer at a time, as far as Milvus can tell: it knows no locks, and nothing that is compared before it is set.

Whoever wants to write puts down a ticket, then looks at all tickets, as of now; only who is alone with its ticket goes on, and
everybody else takes its own back. Of two who come at once at most one goes on, since each looks after it has put down its own.
A ticket counts until the time on it, is put down anew while the writer lives, and is looked at again before a commit.

What it cannot exclude: that a writer which was stopped for longer than its ticket counts (a machine that slept) between the last
look and the commit itself, which takes milliseconds, takes the place of what another has committed since; and clocks that differ
by more than a ticket counts.

Deliberately not here: what is written.
"""

from __future__ import annotations

import json
import logging
import random
import secrets
import threading
import time

from semsearch.engines.milvus.client import STRONG, Client
from semsearch.engines.milvus.entities import GAP, NO_VECTOR, RECORD
from semsearch.errors import EngineError, IndexLocked

__all__ = ["LASTS", "Lease"]

_log = logging.getLogger("semsearch")

LASTS = 60.0
"""Seconds that a ticket counts."""
_RENEWALS = 4
"""While a ticket counts."""
_AT_ONCE = 2.0
"""Seconds: tickets that are younger may be of one who has come at the same time, so it is tried again."""
_BODIES = tuple(column.name for column in RECORD if column.name.startswith("body"))


class Lease:
    """The right to write to an index, until `close`. ``writing`` is held while anything is written to the collection of tickets.

    :raises IndexLocked: if somebody else has it.
    """

    def __init__(self, client: Client, collection: str, shown: str) -> None:
        self._client, self._collection, self._shown = client, collection, shown
        self._name = f"ticket-{secrets.token_hex(12)}"
        self._since = time.time()
        self._renewed = self._renewed_at = 0.0
        self._done = threading.Event()
        self.writing = threading.RLock()
        for wait in (0.2, 0.6, 0.0):
            if self._taken():
                break
            if not wait:
                raise self._is_taken()
            time.sleep(random.uniform(wait / 4, wait))  # noqa: S311 (only that those who met do not meet again)
        self._renewing = threading.Thread(target=self._renew, name="semsearch-milvus-lease", daemon=True)
        self._renewing.start()

    def _taken(self) -> bool:
        self._put()
        others = self._others()
        if not others:
            return True
        self._take_back()
        if time.time() - min(others) > _AT_ONCE:
            raise self._is_taken()
        return False

    def _is_taken(self) -> IndexLocked:
        return IndexLocked(
            f"another process is writing to {self._shown}, or one was killed less than {LASTS:.0f} seconds ago: "
            "try again when it is done"
        )

    def _put(self) -> None:
        """Put down the ticket, or put it down anew."""
        with self.writing:
            begun, at = time.monotonic(), time.time()
            body = json.dumps({"since": self._since, "until": at + LASTS})
            rest = dict.fromkeys(_BODIES[1:], "")
            self._client.upsert(self._collection, [{"name": self._name, _BODIES[0]: body, **rest, GAP: NO_VECTOR}])
            self._renewed, self._renewed_at = begun, at

    def _take_back(self) -> None:
        self._client.delete(self._collection, f'name == "{self._name}"')

    def _others(self) -> list[float]:
        """Since when other tickets that count are there; those that count no more are removed.

        :raises EngineError: if the own one is not there.
        """
        found = self._client.query(self._collection, 'name like "ticket-%"', ["name", _BODIES[0]], STRONG)
        tickets = {str(each["name"]): json.loads(str(each[_BODIES[0]])) for each in found}
        if tickets.pop(self._name, None) is None:
            raise self._lost()
        now = time.time()
        for name in [name for name, ticket in tickets.items() if ticket["until"] < now]:
            self._client.delete(self._collection, f'name == "{name}"')
            del tickets[name]
        return [float(ticket["since"]) for ticket in tickets.values()]

    def _renew(self) -> None:
        while not self._done.wait(LASTS / _RENEWALS):
            try:
                if not self._over():
                    self._put()
            except EngineError as error:
                _log.warning("%s: the right to write could not be renewed: %s", self._shown, error)

    def _over(self) -> bool:
        # Neither clock alone: one may not run while a machine sleeps, the other may be set.
        since = max(time.monotonic() - self._renewed, time.time() - self._renewed_at)
        return since > LASTS * (1 - 1 / (2 * _RENEWALS))

    def _lost(self) -> EngineError:
        return EngineError(f"the right to write to {self._shown} has lapsed, and others may be writing: index again")

    def check(self) -> None:
        """See that it still holds, without asking the server.

        :raises EngineError: if it does not.
        """
        if self._over():
            raise self._lost()

    def confirm(self) -> None:
        """See that it still holds, and put it down anew, so that there is time for what comes next.

        :raises EngineError: if it does not.
        """
        self.check()
        if self._others():
            raise self._lost()
        self._put()

    def close(self) -> None:
        """Let others write. A ticket that cannot be taken back counts no more after a while."""
        self._done.set()
        self._renewing.join()
        try:
            self._take_back()
        except EngineError as error:
            _log.warning("%s: others can write in %.0f s: %s", self._shown, LASTS, error)
