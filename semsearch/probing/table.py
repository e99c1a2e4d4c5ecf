"""What probing gave as plain text.

Pure. Deliberately not here: what is measured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from semsearch.evaluation.table import aligned, signed, significance
from semsearch.probing.values import ALL, Answer, Bench, BenchRow, Cost, Diff, ModelComparison, QuestionDiff
from semsearch.render import safe_line

__all__ = ["of_bench", "of_diff", "of_models"]

_SHOWN_QUESTIONS = 10
_WIDTH = 100


def of_bench(found: Bench) -> str:
    """All figures as text, without a line end behind it."""
    counted = Counter(probe.kind for probe in found.probes)
    kinds = ", ".join(f"{count:,} {kind}{'' if count == 1 else 's'}" for kind, count in counted.items())
    lines = [
        f"{safe_line(found.index)}: {found.articles:,} articles, {found.passages:,} passages; probes: {kinds}",
        *map(safe_line, found.notes),
    ]
    columns: list[str] = [*counted, ALL] if len(counted) > 1 else [*counted]
    head = [f"RR@10 {kind}" for kind in columns]
    rows = [["mode", "model", "tokens", *head, "95 % interval", "R@1", "R@10", "to best", "95 % interval", "p (Holm)"]]
    rows += [_row(row, columns) for row in found.rows]
    return "\n".join([*lines, *aligned(rows, left=3), "", safe_line(found.verdict)])


def _row(row: BenchRow, columns: list[str]) -> list[str]:
    way, every, gap = row.way, row.figures[ALL], row.gap
    values = [f"{row.figures[kind].rr:.3f}" for kind in columns]
    behind = ["best", "", ""]
    if gap is not None:
        behind = [signed(gap.difference), f"{signed(gap.low)} to {signed(gap.high)}", significance(gap.p_holm)]
    return [
        way.mode,
        safe_line(way.model),
        "most" if way.passage_tokens is None else str(way.passage_tokens),
        *values,
        f"{every.low:.3f} to {every.high:.3f}",
        f"{every.r1:.3f}",
        f"{every.r10:.3f}",
        *behind,
    ]


def of_diff(found: Diff) -> str:
    """What differs between the indexes, and the questions whose answers differ most."""
    n, values = len(found.questions), found.summary
    lines = [f"{safe_line(found.a)} and {safe_line(found.b)}: {n:,} questions, {found.mode}, first {found.k}", ""]
    said = {
        "changed": "hits or their order differ",
        "best": "the best hit is another",
        "lost": f"the best hit before is no longer among the first {found.k}",
        "gained": f"the best hit now was not among the first {found.k}",
        "unanswered": "answered before, not now",
        "answered": "answered now, not before",
    }
    rows = [["", "questions", "share", ""]]
    rows += [[name, f"{round(values[name] * n):,}", f"{values[name]:.3f}", meaning] for name, meaning in said.items()]
    means = (("overlap", f"hits among the first {found.k} of both, mean"), ("rbo", "rank-biased overlap, mean"))
    rows += [[name, "", f"{values[name]:.3f}", meaning] for name, meaning in means]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines += [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
    content = found.content
    lines += ["", f"texts: {content.common:,} in both, {content.only_a:,} only before, {content.only_b:,} only now"]
    lines += [f"{fact.kind}: {fact.name} {safe_line(fact.a) or 'none'} -> {safe_line(fact.b) or 'none'}" for fact in found.facts]
    if found.causes:
        lines.append("can be due to: " + ", ".join(f"{cause} ({count:,})" for cause, count in found.causes.items()))
    changed = sorted((each for each in found.questions if each.causes), key=lambda each: each.rbo)
    if changed:
        lines += ["", "changed most:" if len(changed) > _SHOWN_QUESTIONS else "changed:"]
    for each in changed[:_SHOWN_QUESTIONS]:
        lines += _changed(each)
    return "\n".join(lines)


def _changed(each: QuestionDiff) -> list[str]:
    flip = ""
    if each.answerable_a != each.answerable_b:
        flip = "; answered now" if each.answerable_b else "; no longer answered"
    lines = [f"  {each.rbo:.3f}  {_cut(safe_line(each.text))}", f"         due to {', '.join(each.causes)}{flip}"]
    before, after = each.best("a"), each.best("b")
    if before != after:
        lines += [f"         before  {_best(before, each_b=True)}", f"         now     {_best(after, each_b=False)}"]
    return lines


def _best(answer: Answer | None, *, each_b: bool) -> str:
    """The best hit of one index, and what the other has of it."""
    if answer is None:
        return "nothing found"
    rank = answer.rank_b if each_b else answer.rank_a
    other = f"rank {rank}" if rank is not None else answer.state
    return _cut(f"{safe_line(answer.source)}:{answer.line} ({other})  {safe_line(answer.text)}")


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def of_models(found: ModelComparison) -> str:
    """Both models side by side."""
    bench, summary = found.bench, found.diff.summary
    rows = [["", *(safe_line(cost.model) for cost in (found.current, found.candidate))]]
    for label, shown in _COSTS:
        rows.append([label, shown(found.current), shown(found.candidate)])
    lines = [*of_bench(bench).splitlines()[:-2], "", *aligned(rows, left=1), ""]
    lines.append(
        f"of {len(found.diff.questions):,} questions {summary['best']:.1%} have another best passage, {summary['lost']:.1%} have"
        f" lost theirs from the first {found.diff.k}; overlap {summary['overlap']:.3f}, rank-biased overlap {summary['rbo']:.3f}"
    )
    return "\n".join([*lines, "", safe_line(found.verdict), f"to switch: {safe_line(found.command)}"])


_COSTS: tuple[tuple[str, Callable[[Cost], str]], ...] = (
    ("dimension", lambda cost: f"{cost.dimension:,}"),
    ("tokens of a passage, at most", lambda cost: f"{cost.max_tokens:,}"),
    ("encoding 1,000 passages, seconds", lambda cost: f"{cost.seconds_per_1000:.1f}"),
    ("encoding the whole index, about", lambda cost: _duration(cost.whole_seconds)),
    ("passages of the whole index, about", lambda cost: f"{cost.passages:,}"),
    ("the whole index on disk, about, MB", lambda cost: f"{cost.whole_bytes / 1e6:.1f}"),
    ("a warm question, milliseconds", lambda cost: f"{cost.query_ms:.1f}"),
)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
