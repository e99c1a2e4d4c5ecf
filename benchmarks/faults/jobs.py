"""What a process under test does: it is forked, for each job, by this program, which has imported all that a job needs.

A process so made starts in a few milliseconds, and whatever happens to it (a kill, a crash, a limit) happens to no other.

Reads one job a line as JSON: ``id``, ``do`` (a name in `JOBS`), ``given`` (its keyword arguments), ``out`` (the file for its
result, as JSON), ``encoded`` (the file for how many passages it encoded), ``folder`` (where it works), and if wanted
``faults`` (for `faults_set` of ``faults.c``), ``limit`` (bytes that a file may have), ``uid`` (whose rights it has).
Tells on stdout, a line each: ``ID pid N``, ``ID begin`` when the job proper begins, ``ID end STATUS``, as `os.waitpid` has it.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults import collection
from faults.collection import WordEncoder

ACTIONS = {"count": 0, "kill": 1, "tear": 2, "fail": 3}


def main() -> None:
    _import_all()
    watched, woken = os.pipe()
    for end in (watched, woken):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, str] = {}
    _tell("ready")
    import select

    unread = b""
    while True:
        ready, _, _ = select.select([0, watched], [], [])
        if watched in ready:
            os.read(watched, 4096)
        _tell_ended(running)
        if 0 in ready:
            piece = os.read(0, 1 << 20)
            if not piece:
                return
            *lines, unread = (unread + piece).split(b"\n")
            for line in lines:
                job = json.loads(line)
                running[_fork(job)] = job["id"]


def _import_all() -> None:
    """Everything that a job would import itself, used once where its first use takes long; no threads are started."""
    import mmap

    import faiss
    import filelock
    import tantivy

    import semsearch.builder
    import semsearch.index
    from semsearch import articles, lexical, passages
    from semsearch.store import database

    # Imported with the first use of its name.
    getattr(semsearch, "check", None)
    # Loads a library, which another user may not be allowed to read.
    database.connect(Path(tempfile.mkdtemp()).resolve() / "scratch", "mode=rwc").close()
    encoder = WordEncoder()
    lexical.languages("a title", ["The text of a passage that is long enough to tell its language by."], None)
    for path, data in (("a.md", b"# A\n\nText. And more.\n"), ("a.jsonl", b'{"title": "A", "text": "Text. And more."}\n')):
        for found in articles.read(articles.SourceFile(Path(path), path), data):
            passages.cut(found, encoder.passage_tokens, encoder.count_tokens)
    collection._codes(encoder.fingerprint.dimension)
    assert all((mmap, faiss, filelock, tantivy, semsearch))


def _tell_ended(running: dict[int, str]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        _tell(f"{running.pop(pid)} end {status}")


def _tell(line: str) -> None:
    """In one piece: several processes write to the same pipe."""
    os.write(1, f"{line}\n".encode())


def _fork(job: dict[str, Any]) -> int:
    child = os.fork()
    if child:
        _tell(f"{job['id']} pid {child}")
        return child
    code = 70
    try:
        # A group of its own, which is killed as one.
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = _work(job)
    finally:
        os._exit(code)


def _work(job: dict[str, Any]) -> int:
    """Do one job; its exit code is that of the command line."""
    out = os.open(job["out"], os.O_WRONLY | os.O_CREAT, 0o666)
    os.chdir(job["folder"])
    counted = os.open(job["encoded"], os.O_WRONLY | os.O_CREAT, 0o666)
    given = job["given"]
    if given.get("encoder") is not None:
        given["encoder"] = WordEncoder(**given["encoder"], told=lambda count: os.pwrite(counted, count.to_bytes(8, "little"), 0))
    work = JOBS[job["do"]](**given)
    _restrict(job)
    _tell(f"{job['id']} begin")
    code = 0
    try:
        result = work()
    except BaseException as error:
        result, code = _error(error)
    if "faults" in job:
        result["operations"] = ctypes.CDLL(None).faults_count()
        _set_faults("", 0, 0, 0, 0, "")
    if "limit" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    with open(out, "w", encoding="utf-8") as file:
        json.dump(result, file)
    return code


def _error(error: BaseException) -> tuple[dict[str, Any], int]:
    """What is told of an error, and its exit code on the command line."""
    from semsearch.errors import SemsearchError

    if isinstance(error, SemsearchError):
        return {"error": type(error).__name__, "message": str(error)}, 2
    return {"error": type(error).__name__, "message": str(error), "foreign": traceback.format_exc()}, 1


def _restrict(job: dict[str, Any]) -> None:
    if "limit" in job:
        # Writing past it is an error and no signal: so Python has it.
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["limit"], resource.RLIM_INFINITY))
    if "uid" in job:
        os.setgroups([])
        os.setgid(job["uid"])
        os.setuid(job["uid"])
    if "faults" in job:
        faults = job["faults"]
        _set_faults(
            faults["folder"],
            faults.get("at", 0),
            ACTIONS[faults.get("action", "count")],
            faults.get("error", 0),
            int(faults.get("onwards", False)),
            faults.get("log", ""),
        )


def _set_faults(folder: str, at: int, action: int, error: int, onwards: int, log: str) -> None:
    ctypes.CDLL(None).faults_set(os.fsencode(folder), ctypes.c_long(at), action, error, onwards, os.fsencode(log))


# Jobs: what is made ready first, and the rest, which is timed, killed and hindered. An encoder is given as its options; None
# for the model that the index names.

Work = Callable[[], dict[str, Any]]


def build(sources: list[str], index: str, encoder: WordEncoder | None, fresh: bool = False) -> Work:
    """Build or refresh."""
    import semsearch

    def work() -> dict[str, Any]:
        with semsearch.build(sources, index, encoder=encoder, fresh=fresh) as built:
            report = built.report
            assert report is not None
            return {"encoded": report.encoded, "passages": report.passages}

    return work


def remove(sources: list[str], index: str) -> Work:
    """Take sources out of the index."""
    import semsearch

    return lambda: {"removed": semsearch.remove(sources, index)}


def check(index: str, repair: bool = False, encoder: WordEncoder | None = None) -> Work:
    """Look whether the index is sound, and mend it if wanted."""
    import semsearch

    def work() -> dict[str, Any]:
        report = semsearch.check(index, repair=repair, encoder=encoder)
        return {
            "ok": report.ok,
            "problems": [[problem.kind, str(problem.where), problem.what] for problem in report.problems],
            "repaired": list(report.repaired),
            "leftovers": list(report.leftovers),
        }

    return work


def ask(index: str, encoder: WordEncoder | None, questions: list[str] | None = None) -> Work:
    """Open the index and ask it all questions."""
    import semsearch

    def work() -> dict[str, Any]:
        with semsearch.open(index, encoder=encoder) as opened:
            status = opened.status()
            answers = collection.ask(opened, questions or collection.QUESTIONS)
            return {"answers": answers, "generation": status["generation"], "passages": status["passages"]}

    return work


def write(records: str, states: dict[str, dict[str, str]], index: str, options: dict[str, Any], until: float) -> Work:
    """Refresh the index until a moment, from one file of records that is replaced by the next state each time.

    The file is read in one piece and replaced in one step: whoever reads it, the index is in one of the states.

    :param states: articles by file name, of each state.
    :param options: of the encoder.
    """
    import semsearch
    from semsearch.errors import IndexLocked

    def work() -> dict[str, Any]:
        counts = {"written": 0, "locked": 0}
        errors: list[str] = []
        names = sorted(states)
        chosen = os.getpid()
        while time.time() < until:
            chosen += 1
            collection.write_records(states[names[chosen % len(names)]], Path(records))
            while time.time() < until:
                try:
                    with semsearch.build([records], index, encoder=WordEncoder(**options), fresh=chosen % 10 == 0):
                        counts["written"] += 1
                    break
                except IndexLocked:
                    counts["locked"] += 1
                    time.sleep(0.01)
                except Exception:
                    errors.append(traceback.format_exc())
                    break
        return {**counts, "errors": errors[:5], "n_errors": len(errors)}

    return work


def read(
    index: str, states: dict[str, collection.Answers], options: dict[str, Any], until: float, how: str, pause: float
) -> Work:
    """Search until a moment; every answer must be that of a state.

    :param states: the answers of each state, by its name.
    :param options: of the encoder.
    :param how: ``anew``: the index is opened for each round of questions; ``refreshed``: once, and goes to the newest
        generation between two rounds; ``shared``: once, for four threads, one of which does so while the others ask.
    :param pause: seconds between two rounds.
    """
    seen = _Seen(states)

    def work() -> dict[str, Any]:
        readers = {"anew": _read_anew, "refreshed": _read_refreshed, "shared": _read_shared}
        try:
            readers[how](index, options, until, pause, seen)
        except Exception:
            seen.failed(traceback.format_exc())
        return seen.result()

    return work


class _Seen:
    """What readers of one process saw; threads may share it."""

    def __init__(self, states: dict[str, collection.Answers]) -> None:
        self._states = states
        self._lock = threading.Lock()
        self._generations: set[int] = set()
        self._counts = {"searches": 0, "refreshed": 0, "rounds": 0, **{f"state {name}": 0 for name in states}}
        self._errors: list[str] = []
        self._wrong: list[str] = []

    def round(self, index: Any, *, whole: bool) -> None:
        """Ask all questions.

        :param whole: nobody refreshes this index meanwhile: all answers must be of one state.
        """
        with self._lock:
            self._generations.add(index.status()["generation"])
            self._counts["rounds"] += 1
        possible = set(self._states)
        for question in collection.QUESTIONS:
            answers = collection.ask(index, [question])
            with self._lock:
                for key, hits in answers.items():
                    possible = self._judge(key, hits, possible, whole)

    def _judge(self, key: str, hits: Any, possible: set[str], whole: bool) -> set[str]:
        """The states that all answers of this round are of, the next answer being these hits."""
        self._counts["searches"] += 1
        if isinstance(hits, dict):
            self._errors.append(f"{key}: {hits['error']}: {hits['message']}")
            return possible
        fitting = {name for name in self._states if collection.same(hits, self._states[name][key])}
        for name in fitting:
            self._counts[f"state {name}"] += 1
        left = fitting & possible if whole else fitting
        if not left:
            self._wrong.append(f"{key}: {'of another state than the answers before' if fitting else hits}")
            return set(self._states)
        return left

    def refreshed(self, newer: bool) -> None:
        with self._lock:
            self._counts["refreshed"] += bool(newer)

    def failed(self, told: str) -> None:
        with self._lock:
            self._errors.append(told)

    def result(self) -> dict[str, Any]:
        return {
            **self._counts,
            "generations": sorted(self._generations),
            "n_errors": len(self._errors),
            "errors": self._errors[:5],
            "n_wrong": len(self._wrong),
            "wrong": self._wrong[:5],
        }


def _read_anew(index: str, options: dict[str, Any], until: float, pause: float, seen: _Seen) -> None:
    import semsearch

    while time.time() < until:
        with semsearch.open(index, encoder=WordEncoder(**options)) as opened:
            seen.round(opened, whole=True)
        time.sleep(pause)


def _read_refreshed(index: str, options: dict[str, Any], until: float, pause: float, seen: _Seen) -> None:
    import semsearch

    with semsearch.open(index, encoder=WordEncoder(**options)) as opened:
        while time.time() < until:
            seen.round(opened, whole=True)
            seen.refreshed(opened.refresh())
            time.sleep(pause)


def _read_shared(index: str, options: dict[str, Any], until: float, pause: float, seen: _Seen) -> None:
    import semsearch

    with semsearch.open(index, encoder=WordEncoder(**options)) as opened:

        def search(number: int) -> None:
            try:
                while time.time() < until:
                    seen.round(opened, whole=False)
                    if not number:
                        seen.refreshed(opened.refresh())
                    time.sleep(pause)
            except Exception:
                seen.failed(traceback.format_exc())

        threads = [threading.Thread(target=search, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


JOBS = {"build": build, "remove": remove, "check": check, "ask": ask, "write": write, "read": read}

if __name__ == "__main__":
    sys.exit(main())
