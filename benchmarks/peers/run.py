"""semsearch beside other tools: the same articles, questions and model, each tool otherwise with its own defaults.

    SEMSEARCH_DATA=... python benchmarks/peers/run.py

Makes an environment for every tool, then measures on every collection, each figure in a process of its own: indexing; one
question as a whole process, all tools in turns; warm questions one after the other; and how well all questions are answered.
What a tool could not do is reported in its place. A run of all tools on the usual collections is kept in
``results/peers.json``, any other in ``--work``.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

# In place of this folder, whose scripts are called like the libraries that they use.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common import data_folder, machine, save

from peers.bench import Bench
from peers.environments import SEMSEARCH, Failed, Peer, Place, prepare, prepare_model, versions
from peers.process import say
from peers.table import markdown

PEERS = (
    SEMSEARCH,
    Peer("fidx", "fidx, hybrid", onnx=True, extensions=True),
    Peer("chromadb", "chromadb", onnx=True),
    Peer("txtai", "txtai, hybrid"),
    Peer("lancedb", "lancedb, hybrid"),
    Peer("st", "sentence-transformers + FAISS"),
    Peer("bm25s", "bm25s (no model)"),
)
SETS = ("scifact", "wikimix-dev")


def _prepare(peers: list[Peer], place: Place) -> dict[str, str]:
    """Environments and model files; the tools that cannot be had, each with the reason."""
    missing = {}
    for peer in peers:
        say(f"environment of {peer.name}")
        try:
            prepare(peer, place)
            if peer == SEMSEARCH:
                prepare_model(place)
            elif peer.onnx and not place.model.exists():
                # It would be looked for in the network.
                raise Failed("there is no ONNX file of the model: see semsearch")
        except Failed as error:
            say(f"failed: {error}")
            missing[peer.name] = str(error)
    return missing


def _chosen(names: list[str] | None) -> list[Peer]:
    """The tools asked for; semsearch always, since all are compared with it."""
    return [peer for peer in PEERS if names is None or peer.name in names or peer == SEMSEARCH]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/benchmarks/peers"), help="for environments and indexes")
    parser.add_argument("--only", nargs="+", choices=[peer.name for peer in PEERS], metavar="NAME", help="these, and semsearch")
    parser.add_argument("--sets", nargs="+", default=list(SETS), metavar="SET", help="folders of SEMSEARCH_DATA")
    parser.add_argument("--questions", type=int, default=200, help="warm questions that are timed")
    parser.add_argument("--rounds", type=int, default=7, help="cold questions that are timed")
    parser.add_argument("--reuse", action="store_true", help="keep indexes of an earlier run, and their figures")
    return parser.parse_args()


def _measure(bench: Bench, options: argparse.Namespace) -> None:
    bench.each("index", lambda peer: bench.index(peer, reuse=options.reuse))
    bench.ask(options.rounds)
    bench.each("warm", lambda peer: bench.warm(peer, options.questions))
    bench.each("rank", bench.rank)


def main() -> None:
    options = _options()
    data = data_folder().resolve()
    place = Place(options.work.resolve())
    asked = _chosen(options.only)
    missing = _prepare(asked, place)
    peers = [peer for peer in asked if peer.name not in missing]
    installed = {peer.name: versions(peer, place) for peer in peers}
    benches = [Bench(peers, place, data / name) for name in options.sets]
    for bench in benches:
        _measure(bench, options)
    for bench in benches:
        bench.score()
    figures = {
        "rounds": options.rounds,
        "versions": installed,
        "missing": missing,
        "sets": {bench.collection.name: {"articles": bench.articles, "peers": bench.figures} for bench in benches},
        "machine": machine(),
    }
    if options.only is None and options.sets == list(SETS):
        save("peers", figures)
    else:
        (place.work / "peers.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(markdown(figures, {peer.name: peer.title for peer in asked}))


if __name__ == "__main__":
    main()
