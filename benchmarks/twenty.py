"""Twenty questions with their hits on one page, to be read by a person.

    SEMSEARCH_DATA=... python benchmarks/twenty.py > twenty.html

Ten to the articles that ship, ten to the articles of xquad-en: are titles, headings, best sentences and places right?
"""

from __future__ import annotations

import html
import sys
import tempfile
from pathlib import Path

from common import data_folder

import semsearch

SEEDS = (
    "what aid did Russia offer",
    "what present did Putin get",
    "what did the military specialists come for",
    "who won the battle of Carabobo",
    "when was OPEC founded and by whom",
    "which strains of influenza are in the vaccine",
    "what is the OAS charter",
    "what does Gazprom do",
    '"road map"',
    "sanctions on the oil company",
)
XQUAD = (
    "Which NFL team represented the AFC at Super Bowl 50?",
    "How many sacks did Von Miller have",
    "why is Warsaw's architecture so mixed",
    "what causes the black death",
    "who developed a better steam engine than Newcomen",
    "what does the name of oxygen mean",
    "Which treaty forms part of EU law on human rights",
    "when did Genghis Khan die",
    "how do pathogens evade the immune system",
    "Jacksonville population in 2010",
)


def page(data: Path) -> str:
    """The page."""
    parts = ["<!doctype html><meta charset=utf-8><title>Twenty questions</title>"]
    with tempfile.TemporaryDirectory() as folder:
        seeds = Path(__file__).parent.parent / "seeds"
        for number, (source, questions) in enumerate(((seeds, SEEDS), (data / "xquad-en" / "articles", XQUAD))):
            with semsearch.build(source, Path(folder) / str(number)) as index:
                for question in questions:
                    results = index.search(question, 3)
                    parts.append(f"<p>{html.escape(question)}: {'answered' if results.answerable else 'nothing relevant found'}")
                    parts.append(results._repr_html_())
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page(data_folder()) + "\n")
