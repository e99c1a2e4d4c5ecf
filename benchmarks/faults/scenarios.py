"""Operations on an index, each with the state before it and the state after it, and the judgment of what a fault left.

A scenario is a folder to start from, ``articles/`` and ``index/``, and a job to do in a copy of it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults import collection
from faults.collection import Answers
from faults.launcher import Launcher, Outcome
from faults.trials import Unwanted

ALLOWED = ("InputError", "IndexLocked", "IndexCorrupt", "IndexMissing")
"""Errors that an operation may end with where the disk or the rights are at fault."""


@dataclass(frozen=True)
class Scenario:
    """An operation.

    ``template``: the folder that a trial works in a copy of. ``do``, ``given``: the job. ``encoder``: options of the encoder
    that made the index, None for the model. ``before``, ``after``: what a job ``ask`` gives in each state. ``needed``: passages
    that a run from the state before encodes. ``seconds``: that it takes. ``damaged``: whether the state before is one to be
    mended. ``questions``: what is asked.
    """

    name: str
    template: Path
    do: str
    given: dict[str, Any]
    encoder: dict[str, Any] | None
    before: dict[str, Any] = field(repr=False)
    after: dict[str, Any] = field(repr=False)
    sound_before: bool
    needed: int
    seconds: float
    damaged: bool = False
    questions: tuple[str, ...] = collection.QUESTIONS

    @contextmanager
    def trial(self, work: Path) -> Iterator[Path]:
        """A copy of the template, gone afterwards unless it was moved away."""
        folder = work / f"trial of {self.name}".replace(" ", "-")
        copy(self.template, folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def start(self, launcher: Launcher, folder: Path, **options: Any) -> Any:
        """Start the operation in a folder: a `launcher.Job`."""
        return launcher.start(self.do, folder=folder, **self.given, **options)

    def run(self, launcher: Launcher, folder: Path, **options: Any) -> Outcome:
        """Do the operation in a folder."""
        return self.start(launcher, folder, **options).wait()


@dataclass(frozen=True)
class Judgment:
    """What a fault left: ``state`` is ``before`` or ``after``; ``encoded`` is what the next run encoded."""

    state: str
    encoded: int


def copy(template: Path, folder: Path) -> None:
    """Make a folder a copy of another, times of files included."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder, symlinks=True)


def ask(launcher: Launcher, folder: Path, encoder: dict[str, Any] | None, questions: tuple[str, ...]) -> dict[str, Any]:
    """What an index answers: ``answers``, or the ``error`` of opening it.

    :raises Unwanted: if the process that asks dies, or meets another error than one of semsearch's.
    """
    outcome = launcher.run("ask", folder=folder, index="index", encoder=encoder, questions=list(questions))
    if outcome.result is None or "foreign" in outcome.result:
        raise Unwanted(f"asking: {outcome.described()}")
    return outcome.result


def check(launcher: Launcher, folder: Path, encoder: dict[str, Any] | None, *, repair: bool = False) -> dict[str, Any]:
    """What `semsearch.check` says of an index: ``ok``, ``problems``, ``repaired``, ``leftovers``; or its ``error``.

    :raises Unwanted: if the process dies, or meets another error than one of semsearch's.
    """
    outcome = launcher.run("check", folder=folder, index="index", encoder=encoder, repair=repair)
    if outcome.result is None or "foreign" in outcome.result:
        raise Unwanted(f"checking: {outcome.described()}")
    return outcome.result


def judge(launcher: Launcher, scenario: Scenario, folder: Path) -> Judgment:
    """Whether an index is in one of the two states, sound, and taken to the state after by the next run.

    :raises Unwanted: if not.
    """
    state = _state(scenario, ask(launcher, folder, scenario.encoder, scenario.questions))
    _check_sound(launcher, scenario, folder, state)
    again = scenario.run(launcher, folder)
    # What is removed already is not there to be removed.
    if not (again.error == "" and again.result is not None) and not (
        scenario.do == "remove" and state == "after" and again.error == "InputError"
    ):
        raise Unwanted(f"the next run, from the state {state}: {again.described()}")
    if again.result.get("ok") is False:
        raise Unwanted(f"the next repair mends it not: {again.result['problems'][:3]}")
    # A check encodes some passages to compare them, and once more after a repair.
    if again.encoded > scenario.needed and scenario.do != "check":
        raise Unwanted(f"the next run encoded {again.encoded} passages, and {scenario.needed} were needed from the start")
    if again.encoded and state == "after" and scenario.do != "check":
        raise Unwanted(f"the next run encoded {again.encoded} passages of an index that had all")
    reached = ask(launcher, folder, scenario.encoder, scenario.questions)
    if not alike(scenario.after, reached):
        raise Unwanted(f"the next run, from the state {state}, does not lead to the state after: {_brief(reached)}")
    _check_sound(launcher, scenario, folder, "after", litter=True)
    return Judgment(state, again.encoded)


def _state(scenario: Scenario, found: dict[str, Any]) -> str:
    """``before`` or ``after``."""
    fitting = [name for name, state in (("before", scenario.before), ("after", scenario.after)) if alike(state, found)]
    if fitting:
        # Where both answer alike (a new format, and nothing else), the generation tells.
        return fitting[0] if found.get("generation", 0) < scenario.after["generation"] else fitting[-1]
    if scenario.damaged and all(_right_or_refused(scenario.after, found)):
        return "before"
    raise Unwanted(f"neither the state before nor the state after: {_brief(found)}")


def alike(state: dict[str, Any], found: dict[str, Any]) -> bool:
    """Whether two results of `ask` are the same: the same answers, or the same error."""
    if "error" in state or "error" in found:
        return state.get("error") == found.get("error")
    return collection.all_same(state["answers"], found["answers"])


def _right_or_refused(state: dict[str, Any], found: dict[str, Any]) -> Iterator[bool]:
    if "error" in found:
        yield found["error"] == "IndexCorrupt"
        return
    answers: Answers = found["answers"]
    for key, hits in answers.items():
        yield hits["error"] == "IndexCorrupt" if isinstance(hits, dict) else collection.same(hits, state["answers"][key])


def _brief(found: dict[str, Any]) -> str:
    if "error" in found:
        return f"{found['error']}: {found['message']}"
    errors = [hits for hits in found["answers"].values() if isinstance(hits, dict)]
    return f"{found['passages']} passages, generation {found['generation']}; {len(errors)} of {len(found['answers'])} refused" + (
        f" ({errors[0]['error']}: {errors[0]['message']})" if errors else ""
    )


def _check_sound(launcher: Launcher, scenario: Scenario, folder: Path, state: str, *, litter: bool = False) -> None:
    said = check(launcher, folder, scenario.encoder)
    if state == "before" and not scenario.sound_before:
        return
    if "error" in said:
        raise Unwanted(f"check of the state {state}: {said['error']}: {said['message']}")
    if not said["ok"]:
        raise Unwanted(f"check of the state {state} is not ok: {said['problems'][:3]}")
    if litter and said["leftovers"]:
        raise Unwanted(f"a whole run leaves {said['leftovers'][:3]}")


class Maker:
    """Makes scenarios, and the two states of each by running it undisturbed.

    :param work: where the templates are kept.
    :param size: articles of the collection before a refresh; each has 4 passages.
    :param pause: seconds that the encoder takes for each 4 passages.
    """

    def __init__(self, launcher: Launcher, work: Path, *, size: int, pause: float) -> None:
        self._launcher = launcher
        self._work = work
        self._size = size
        self._encoder = {"pause": pause}

    def first_build(self) -> Scenario:
        """An index is made where there was none."""
        return self._make("first build", collection.earlier(self._size), lambda _: None, **self._building())

    def refresh(self) -> Scenario:
        """Articles were added, edited, renamed and deleted since."""

        def build(folder: Path) -> None:
            self._run(folder, **self._building())
            collection.write_folder(collection.later(self._size), folder / "articles")

        return self._make("refresh", collection.earlier(self._size), build, **self._building())

    def removal(self) -> Scenario:
        """A third of the articles is taken out of the index."""
        sources = [f"articles/{name}" for name in list(collection.earlier(self._size))[::3]]
        build = self._build
        return self._make("removal", collection.earlier(self._size), build, do="remove", sources=sources, index="index")

    def repairs(self) -> list[Scenario]:
        """Vectors or words are damaged, and mended."""
        damages = {"vectors": ".vectors", "words": ".idx"}

        def damaging(suffix: str) -> Callable[[Path], None]:
            def damage(folder: Path) -> None:
                self._build(folder)
                _flip(next(path for path in sorted((folder / "index").rglob("*")) if path.name.endswith(suffix)))

            return damage

        given: dict[str, Any] = {"do": "check", "index": "index", "repair": True, "encoder": self._encoder}
        articles = collection.earlier(self._size)
        return [
            self._make(f"repair of {what}", articles, damaging(suffix), damaged=True, **given) for what, suffix in damages.items()
        ]

    def migrations(self) -> list[Scenario]:
        """Indexes of earlier formats are refreshed, with the bundled model, which made them."""
        stored = sorted((Path(__file__).parent.parent.parent / "tests" / "data").glob("format-*"))
        return [self.migration(folder) for folder in stored if (folder / "index").is_dir()]

    def migration(self, stored: Path) -> Scenario:
        """An index of an earlier format is refreshed."""
        questions = ("what is it about", "who was there", "which country", "when was it")
        name = f"migration of {stored.name}"
        template = self._template(name)
        copy(stored, template)
        given: dict[str, Any] = {"do": "build", "sources": ["articles"], "index": "index", "encoder": None}
        return self._measured(name, template, None, given, damaged=False, questions=questions)

    def _building(self) -> dict[str, Any]:
        given = {"sources": ["articles"], "index": "index", "encoder": self._encoder}
        return {"do": "build", **given}

    def _build(self, folder: Path) -> None:
        self._run(folder, **self._building())

    def _run(self, folder: Path, do: str, **given: Any) -> Outcome:
        outcome = self._launcher.run(do, folder=folder, **given)
        if outcome.result is None or outcome.error:
            raise Unwanted(f"{do} without any fault: {outcome.described()}")
        return outcome

    def _template(self, name: str) -> Path:
        return self._work / "templates" / name.replace(" ", "-")

    def _make(
        self, name: str, articles: collection.Articles, ready: Callable[[Path], None], *, damaged: bool = False, **given: Any
    ) -> Scenario:
        template = self._template(name)
        shutil.rmtree(template, ignore_errors=True)
        collection.write_folder(articles, template / "articles")
        ready(template)
        return self._measured(name, template, self._encoder, given, damaged=damaged, questions=collection.QUESTIONS)

    def _measured(
        self,
        name: str,
        template: Path,
        encoder: dict[str, Any] | None,
        given: dict[str, Any],
        *,
        damaged: bool,
        questions: tuple[str, ...],
    ) -> Scenario:
        """The scenario with its two states, and how long the way from one to the other takes."""
        folder = self._work / "measured"
        copy(template, folder)
        before = ask(self._launcher, folder, encoder, questions)
        sound = bool(check(self._launcher, folder, encoder).get("ok"))
        runs = []
        for _ in range(3):
            copy(template, folder)
            runs.append(self._run(folder, **given))
        after = ask(self._launcher, folder, encoder, questions)
        said = check(self._launcher, folder, encoder)
        if "error" in after or not said.get("ok"):
            raise Unwanted(f"{name} without any fault leads to {_brief(after)}, {said}")
        if alike(before, after) and before["generation"] == after["generation"]:
            raise Unwanted(f"{name}: the two states cannot be told apart")
        shutil.rmtree(folder)
        seconds = sorted(run.seconds for run in runs)[1]
        return Scenario(
            name, template, encoder=encoder, before=before, after=after, sound_before=sound, needed=runs[0].encoded,
            seconds=seconds, damaged=damaged, questions=questions, do=given["do"],
            given={key: value for key, value in given.items() if key != "do"},
        )  # fmt: skip


def _flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)
