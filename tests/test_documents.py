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
from pages import Block, Page, Remembering, agrees, blocks, shows

import semsearch
from semsearch import errors
from semsearch.cli import main

DOCS = ROOT / ".docs" / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def name_of(page: Path) -> str:
    return page.relative_to(DOCS if page.is_relative_to(DOCS) else ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


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
    """A folder that has what pages begin with: the articles that ship with semsearch, and the README."""
    shutil.copytree(ROOT / "seeds", tmp_path / "seeds")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


# Commands and snippets.


@pytest.mark.model
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_does_what_it_says(page: Path, folder: Path, remembering: Remembering, monkeypatch):
    text = text_of(page)
    count = Page(remembering, monkeypatch).run(text)
    assert count >= sum(block.runs for block in blocks(text))
