"""One collection measured with all tools.

Invariant: this process stays small until `Bench.score`: a process starts with its parent's peak memory as its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles

from common import spread

from peers.environments import SEMSEARCH, Failed, Peer, Place
from peers.process import Outcome, finish, say
from peers.script import judged, lines

Figures = dict[str, object]


class Bench:
    """One collection, the tools that have not failed at what all else rests on, and what was measured of each."""

    def __init__(self, peers: list[Peer], place: Place, collection: Path) -> None:
        self.place = place
        self.collection = collection
        self.peers = peers
        self.figures: dict[str, Figures] = {peer.name: {} for peer in peers}
        self.articles = sum(1 for _ in lines(collection / "corpus.jsonl"))
        self.questions = list(judged(collection).questions.values())

    def each(self, what: str, measure: Callable[[Peer], Figures]) -> None:
        """Measure one thing of every tool that has an index; what fails becomes the figure."""
        for peer in self.peers:
            if what != "index" and "error" in self._of(peer, "index"):
                continue
            say(f"{self.collection.name}: {what}, {peer.name}")
            try:
                self.figures[peer.name][what] = measure(peer)
            except Failed as error:
                self.figures[peer.name][what] = _failure(error)

    def index(self, peer: Peer, *, reuse: bool) -> Figures:
        """Make the index anew, or give the figures of when it was made."""
        folder = self._index(peer)
        kept = folder.with_name(f"{folder.name}.json")
        if reuse and kept.exists():
            return json.loads(kept.read_text(encoding="utf-8"))
        kept.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        done = self._run(peer, "index", str(self.collection), str(folder))
        figures = {
            "seconds": round(done.seconds, 2),
            "articles/s": round(self.articles / done.seconds, 1),
            "peak MB": round(done.megabytes, 1),
            "disk MB": round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6, 2),
        }
        kept.write_text(json.dumps(figures), encoding="utf-8")
        return figures

    def ask(self, rounds: int) -> None:
        """Whole processes that answer one question, another each round, all tools in turns.

        The first round is not counted: after it all read their files from memory.
        """
        asked = [peer for peer in self.peers if "error" not in self._of(peer, "index")]
        runs: dict[str, list[Outcome]] = {peer.name: [] for peer in asked}
        for number in range(rounds + 1):
            say(f"{self.collection.name}: cold question {number} of {rounds}")
            for peer in asked:
                if self._of(peer, "cold"):
                    continue
                try:
                    runs[peer.name].append(self._answer(peer, self.questions[number % len(self.questions)]))
                except Failed as error:
                    self.figures[peer.name]["cold"] = _failure(error)
        for peer in asked:
            if not self._of(peer, "cold"):
                self.figures[peer.name]["cold"] = _cold(runs[peer.name][1:], runs.get(SEMSEARCH.name, [])[1:])

    def warm(self, peer: Peer, count: int) -> Figures:
        """Milliseconds of a question among many."""
        facts = _facts(self._run(peer, "warm", str(self.collection), str(self._index(peer)), str(count)))
        times = facts["milliseconds"]
        if len(times) < 2:
            raise Failed(f"{len(times)} of {count} questions answered: {'; '.join(facts['errors'][:1])}")
        return {"questions": len(times), "p50 ms": _percentile(times, 50), "p95 ms": _percentile(times, 95), **_errors(facts)}

    def rank(self, peer: Peer) -> Figures:
        """Keep the ranked articles of all questions; they are scored when everything else is measured."""
        rankings = self._index(peer).with_name(f"{peer.name}-rankings.json")
        facts = _facts(self._run(peer, "rank", str(self.collection), str(self._index(peer)), str(rankings)))
        return {"questions": facts["questions"], **_errors(facts)}

    def score(self) -> None:
        """nDCG@10 and R@100 as trec_eval defines them. Imports what makes this process large: not before the last measurement."""
        from semsearch.metrics import figures, summary

        judgments = judged(self.collection).judgments
        for peer in self.peers:
            rank = self._of(peer, "rank")
            if rank and "error" not in rank:
                file = self._index(peer).with_name(f"{peer.name}-rankings.json")
                found = figures(["nDCG@10", "R@100"], judgments, json.loads(file.read_text(encoding="utf-8")))
                rank |= {name: round(summary(name, values), 4) for name, values in found.items()}

    def _answer(self, peer: Peer, question: str) -> Outcome:
        done = self._run(peer, "ask", str(self._index(peer)), question)
        if not done.output.strip():
            raise Failed(f"no answer to {question!r}")
        return done

    def _run(self, peer: Peer, action: str, *arguments: str) -> Outcome:
        # Semsearch's 1: here are the nearest passages, but none seems to answer.
        answers = (0, 1) if peer == SEMSEARCH and action == "ask" else (0,)
        return finish(self._command(peer, action, *arguments), self.place.variables(), answers=answers)

    def _command(self, peer: Peer, action: str, *arguments: str) -> list[str]:
        """A command of semsearch where it has one, else of the tool's script."""
        command = str(self.place.environment(peer) / "bin" / "semsearch")
        if peer == SEMSEARCH and action == "index":
            return [command, "index", f"{arguments[0]}/corpus.jsonl", "--index", arguments[1]]
        if peer == SEMSEARCH and action == "ask":
            return [command, "ask", "--index", arguments[0], "--", arguments[1]]
        return [self.place.python(peer), "-m", f"peers.{peer.name}", action, *arguments]

    def _index(self, peer: Peer) -> Path:
        return self.place.work / "indexes" / self.collection.name / peer.name

    def _of(self, peer: Peer, what: str) -> Figures:
        return self.figures[peer.name].get(what, {})


def _cold(runs: list[Outcome], own: list[Outcome]) -> Figures:
    """Figures of a tool's cold questions; its ratio to semsearch's pair by pair, where semsearch answered all."""
    figures: Figures = {
        "seconds": spread([run.seconds for run in runs]),
        "peak MB": spread([run.megabytes for run in runs]),
    }
    if len(own) == len(runs):
        figures["times semsearch"] = spread([run.seconds / other.seconds for run, other in zip(runs, own, strict=True)])
    return figures


def _facts(done: Outcome) -> dict[str, list]:
    """The line that a script closes with."""
    return json.loads(done.output.splitlines()[-1])


def _errors(facts: dict[str, list]) -> Figures:
    """How many questions a tool failed on and how, if there are any."""
    return {"failed": len(facts["errors"]), "first failure": facts["errors"][0]} if facts["errors"] else {}


def _failure(error: Failed) -> Figures:
    say(f"failed: {error}")
    return {"error": str(error)}


def _percentile(values: list[float], share: int) -> float:
    return round(quantiles(values, n=100, method="inclusive")[share - 1], 2)
