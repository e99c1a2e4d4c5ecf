"""Documents that are true: every command and snippet is run, what is listed is complete, what is named exists."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml
from conftest import ROOT
from memory_engine import MemoryEngine
from pages import Block, Page, Remembering, agrees, blocks, extras, shows

import semsearch
from semsearch import engines, errors
from semsearch.cli import main

DOCS = ROOT / ".docs" / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(DOCS if page.is_relative_to(DOCS) else ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


NAMED = re.compile(r"`((?:semsearch|tests|benchmarks|\.docs)/[\w./-]*\.\w+)(?<!NAME\.json)(?:::([\w.]+))?`")
RUN = [page for page in PAGES if any(block.runs for block in blocks(text_of(page)))]


def hooks():
    spec = importlib.util.spec_from_file_location("documentation_hooks", ROOT / ".docs" / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def remembering(bundled) -> Remembering:
    return Remembering(bundled)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A folder that has what pages begin with: the articles that ship with semsearch, the README, what computes a capacity."""
    shutil.copytree(ROOT / "seeds", tmp_path / "seeds")
    (tmp_path / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks" / "capacity.py", tmp_path / "benchmarks")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # Addresses on pages are of engines in memory: that the others are the same is held by the contract of all engines.
    there: dict[str, MemoryEngine] = {}
    monkeypatch.setattr(engines, "connect", lambda address: there.setdefault(engines.shown(address), MemoryEngine()))
    return tmp_path


def all_text() -> str:
    return "\n".join(map(text_of, PAGES))


# Commands and snippets.


@pytest.mark.model
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_does_what_it_says(page: Path, folder: Path, remembering: Remembering, monkeypatch):
    text = text_of(page)
    count = Page(remembering, monkeypatch).run(text)
    assert count >= sum(block.runs for block in blocks(text))


def test_readmes_first_command_runs_in_a_process_of_its_own(folder: Path, model_cache: Path, monkeypatch):
    monkeypatch.setenv("SEMSEARCH_CACHE", str(model_cache))
    given = blocks(text_of(ROOT / "README.md"))
    first = next(block for block in given if block.kind == "sh").body.split("&&")[1]
    command = re.sub(r"^ *semsearch ", f"{sys.executable} -m semsearch ", first)
    asked = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    assert "humanitarian aid" in asked.stdout
    assert "indexing seeds first" in asked.stderr


def test_what_is_not_run_is_little_and_says_why(capsys):
    left = [(page, block) for page in PAGES for block in blocks(text_of(page)) if block.reason]
    for page, block in left:
        print(f"{name_of(page)}, line {block.line}: {block.reason}")  # noqa: T201
        assert block.kind in ("sh", "python")
        assert len(block.reason.split()) >= 3
    run = sum(block.runs for page in PAGES for block in blocks(text_of(page)))
    assert run > 80
    elsewhere = [block for _, block in left if re.fullmatch(r"tests/test_\w+\.py runs it", block.reason)]
    assert len(left) - len(elsewhere) <= 15, capsys.readouterr().out
    for block in elsewhere:
        assert "run_snippets(" in (ROOT / block.reason.split()[0]).read_text(encoding="utf-8"), block
    # A comment that stands before nothing would look as if it did something.
    assert len(left) == all_text().count("<!-- not run:")


def test_what_is_shown_is_compared():
    shown = "1. 0.72  A title\n   ...\nindex: 13 articles in ... s"
    assert agrees(shown, "1. 0.73  A title\n   one\n   two\nindex: 13 articles in 0.5 s\n")
    assert not agrees(shown, "1. 0.82  A title\n   one\nindex: 13 articles in 0.5 s")
    assert not agrees(shown, "1. 0.72  A title\n   one\nindex: 14 articles in 0.5 s")
    assert not agrees(shown, "1. 0.72  Another title\n   one\nindex: 13 articles in 0.5 s")
    assert not agrees(shown, "1. 0.72  A title\n   one\nindex: 13 articles in 0.5 s\nand more")
    assert shows({"a": [1, {"b": 0.5}], "c": "be..."}, {"a": [1, {"b": 0.51, "d": 1}, 3], "c": "begins so"})
    assert not shows({"a": [1, 2]}, {"a": [1]})
    assert not shows({"a": 1}, {})
    assert not shows({"a": "one"}, {"a": "other"})
    assert not shows({"a": 0.5}, {"a": 0.6})
    assert not shows({"a": True}, {"a": False})


def test_blocks_are_found_and_a_wrong_page_fails(tmp_path: Path, monkeypatch, bundled):
    page = "<!-- not run: takes a day -->\n```sh\na\n```\n\n- x\n\n    ```python\n    print(1 + 1)\n    ```\n\n```text\n3\n```\n"
    found = blocks(page)
    assert found == [
        Block("sh", "", "a\n", 2, "takes a day"),
        Block("python", "", "print(1 + 1)\n", 8, ""),
        Block("text", "", "3\n", 12, ""),
    ]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match="line 12"):
        Page(Remembering(bundled), monkeypatch).run(page)
    for wrong in (
        "```sh\nsemsearch nothing\n```\n",
        "```sh\nfalse\n```\n",
        '```sh\npython -m pip install "semsearch[nothing]"\n```\n',
        '```json title="mcp.json"\n{"mcpServers": {"a": {"command": "semsearch", "args": ["mcp", "--nothing"]}}}\n```\n',
    ):
        with pytest.raises(AssertionError, match="line 1"):
            Page(Remembering(bundled), monkeypatch).run(wrong)


# What is complete.


def test_generated_parts_are_up_to_date():
    pytest.importorskip("fastapi")
    made = hooks()
    for page in PAGES:
        assert made.renewed(text_of(page)) == text_of(page), f"{name_of(page)}: run python .docs/hooks.py"
    assert {name for page in PAGES for name in re.findall(r"<!-- generated: (\w+) -->", text_of(page))} == set(made.GENERATED)


def test_every_command_and_option_is_in_the_documents():
    reference = text_of(DOCS / "reference" / "cli.md")

    def look(name: str, command: click.Command) -> None:
        assert f"## {name}\n" in reference
        section = reference.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert command.help
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.name)
                for option in parameter.opts:
                    assert re.search(rf"^\| `[^`]*(?<![\w-]){option}(?![\w-])", section, re.MULTILINE), (name, option)
        if isinstance(command, click.Group):
            for below, inner in command.commands.items():
                look(f"{name} {below}", inner)
        else:
            assert "--json" in section

    for name, command in main.commands.items():
        look(f"semsearch {name}", command)
        assert f"semsearch {name}" in all_text().replace(reference, "")


def test_every_public_name_is_in_the_reference():
    named = [name for page in PAGES for name in re.findall(r"^::: semsearch\.(\w+)$", text_of(page), re.MULTILINE)]
    assert sorted(named) == sorted(semsearch.__all__)
    tree = text_of(DOCS / "reference" / "python" / "errors.md")
    assert all(f"── {name} " in tree or name == "SemsearchError" for name in errors.__all__)


def test_every_environment_variable_is_in_the_reference():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "semsearch").rglob("*.py"))
    told = text_of(DOCS / "reference" / "environment.md")
    found = set(re.findall(r"\bSEMSEARCH_[A-Z_]*[A-Z]\b", sources))
    rows = re.findall(r"^\| (`SEMSEARCH_[^|]+) \|", told, re.MULTILINE)
    assert found == {name for row in rows for name in re.findall(r"`(SEMSEARCH_\w+)`", row)}


def test_every_extra_is_on_the_first_page():
    rows = re.findall(r"^\| ((?:`[a-z0-9-]+`(?:, )?)+) \|", text_of(DOCS / "index.md"), re.MULTILINE)
    assert set(extras()) - {"dev"} == {name.strip("`") for row in rows for name in row.split(", ")}


def test_every_key_of_the_json_is_in_the_reference(folder: Path, fake):
    told = text_of(DOCS / "reference" / "json.md")
    with semsearch.build("seeds/", "index", encoder=fake) as index:
        hit = index.search("aid", 1, explain=True)
        for name, keys in {
            "ask": {*json.loads(hit.to_json()), *hit[0].to_dict(), *hit[0].explanation.to_dict()},
            "index": index.report.__slots__,
            "status": index.status(),
        }.items():
            section = told.partition(f"## {name}\n")[2].partition("\n## ")[0]
            assert not [key for key in keys if f"`{key}`" not in section], name
    section = told.partition("## check\n")[2].partition("\n## ")[0]
    assert not [key for key in semsearch.check("index", encoder=fake).to_dict() if f"`{key}`" not in section]


def test_every_command_of_the_prompt_is_on_its_page():
    from semsearch.cli import prompt

    page = text_of(DOCS / "how-to" / "prompt.md")
    told = set(re.findall(r"`:(\w+)", page))
    assert told == set(re.findall(r":(\w+)", prompt._HELP))


# What is named.


def test_the_site_has_every_page_and_no_other():
    settings = text_of(ROOT / ".docs" / "mkdocs.yml")
    named = re.findall(r"^ *#? *- .*: (\S+\.md)$", settings.partition("\nnav:")[2], re.MULTILINE)
    commented = re.findall(r"^ *# - .*: (\S+\.md)$", settings, re.MULTILINE)
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert len(named) == len(set(named))
    assert pages - set(named) == set()
    assert set(named) - set(commented) <= pages
    assert not yaml.safe_load(settings)["theme"]["font"]


def test_what_pages_link_to_is_there():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)|(?:src|srcset)=\"([^\"]+)\"", text):
            target = "".join(target)
            if re.match(r"\w+:", target):
                continue
            assert (page.parent / target).exists(), f"{name_of(page)}: {target}"


def names_in(path: Path) -> set[str]:
    """Names that a file defines: functions, classes, assignments, and those in classes behind the class's."""
    found = set()

    def look(nodes: list[ast.stmt], before: str) -> None:
        for node in nodes:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
            found.update(before + target.id for target in targets if isinstance(target, ast.Name))
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(before + node.name)
                if isinstance(node, ast.ClassDef):
                    look(node.body, f"{before}{node.name}.")

    look(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def test_every_file_and_function_that_is_named_exists():
    named = 0
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        for file, name in NAMED.findall(text_of(page)):
            assert (ROOT / file).exists(), f"{name_of(page)}: {file}"
            if name:
                assert name in names_in(ROOT / file), f"{name_of(page)}: {file}::{name}"
                named += 1
    assert named > 60


def test_the_readme_is_short_and_begins_with_its_two_commands():
    text = text_of(ROOT / "README.md")
    assert len(text.splitlines()) <= 130
    first, second = [block.body for block in blocks(text) if block.kind == "sh"][:2]
    assert first == 'python -m pip install -c constraints.txt . && semsearch ask "what aid did Russia offer"\n'
    assert second == 'python -m pip install -c constraints.txt ".[dev]" && python -m pytest -n 2\n'


def test_texts_name_no_machine():
    texts = [
        *(ROOT / "semsearch").rglob("*.py"),
        *ROOT.glob("*.md"),
        *(ROOT / "seeds").iterdir(),
        *(ROOT / "benchmarks").glob("*"),
    ]
    texts += [*(ROOT / "benchmarks" / "pictures").glob("*.svg"), *PAGES, *(ROOT / ".docs").glob("*.*")]
    for path in texts:
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert str(ROOT) not in text, path
            assert str(Path.home()) not in text, path
            assert "file://" not in text or path.suffix == ".py", path


# Pictures, and what the site loads.


def test_pictures_show_what_is_printed(folder: Path, remembering: Remembering):
    with semsearch.build("seeds/", "index", encoder=remembering) as index:
        hits = index.search("what aid did Russia offer", 2)
    for theme in ("light", "dark"):
        picture = (ROOT / "benchmarks" / "pictures" / f"ask-{theme}.svg").read_text(encoding="utf-8")
        shown = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", picture).replace("&#160;", " "))
        for hit in hits:
            assert f"{hit.source}:{hit.line} paragraph {hit.paragraph}" in shown
            assert " ".join(hit.text.split()[:6]) in shown
        assert not hooks().loads(picture)


def test_loads_from_elsewhere_are_told_from_links():
    loads = hooks().loads
    for text in (
        '<script defer src="https://unpkg.com/x.js"></script>',
        "<img alt=x src=//example.org/x.png>",
        '<source srcset="https://example.org/x.png">',
        '<link href="https://fonts.gstatic.com" rel="preconnect" crossorigin>',
        '<link rel="stylesheet" href="https://example.org/x.css">',
        "@import 'https://example.org/x.css';",
        "a { background: url(https://example.org/x.png) }",
        'fetch("https://api.github.com/repos/x")',
    ):
        assert loads(text), text
    for text in (
        '<a href="https://example.org">a link</a>',
        '<img src="../pictures/x.png">',
        '<link rel="stylesheet" href="assets/x.css">',
        '<link rel="canonical" href="https://example.org/">',
        '<svg xmlns="http://www.w3.org/2000/svg">',
        "a { background: url(data:image/svg+xml,x) }",
    ):
        assert not loads(text), text


def test_parts_of_other_documents_are_found():
    made = hooks()
    included = 0
    for page in PAGES:
        text = made.included(text_of(page))
        assert ")<!-- included -->" not in text, name_of(page)
        included += text != text_of(page)
    assert included >= 4
    assert made.part("CHANGELOG.md").startswith("# Changelog")
    assert "### What was tried" in made.part("benchmarks/README.md", "how-well-it-ranks")
    assert "](peers/README.md)" not in made.part("benchmarks/README.md", "beside-other-tools")
    with pytest.raises(ValueError, match="has no heading #nothing"):
        made.part("CHANGELOG.md", "nothing")


def test_pictures_follow_the_sites_switch():
    page = (
        '<picture>\n  <source media="(prefers-color-scheme: dark)" srcset="../../../benchmarks/pictures/a-dark.svg">\n'
        '  <img alt="A" src="../../../benchmarks/pictures/a-light.svg">\n</picture>\n![B](../../../benchmarks/pictures/b.png)\n'
    )
    made = hooks()
    assert made.pictured(page, 1) == (
        "![A](../pictures/a-light.svg#only-light)\n![A](../pictures/a-dark.svg#only-dark)\n![B](../pictures/b.png)\n"
    )
    for page in DOCS.rglob("*.md"):
        shown = made.pictured(text_of(page), 0)
        assert not re.search(r"<picture|<img|\]\([^)]*benchmarks/pictures", shown), name_of(page)
