"""The example notebook: it runs from end to end, and is kept without its outputs."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="nbclient is not installed")
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

pytestmark = pytest.mark.filterwarnings("default")
PLACE = Path(".docs/notebooks/semsearch.ipynb")


def read(root: Path):
    import nbformat

    notebook = nbformat.read(root / PLACE, as_version=4)
    nbformat.validate(notebook)
    return notebook


def test_it_is_kept_without_outputs(root: Path):
    cells = [cell for cell in read(root).cells if cell.cell_type == "code"]
    assert len(cells) > 10
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.model
def test_it_runs(root: Path, tmp_path: Path, model_cache: Path, monkeypatch):
    from nbclient import NotebookClient

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "seeds").symlink_to(root / "seeds")
    home = tmp_path / PLACE.parent
    home.mkdir(parents=True)
    notebook = read(root)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(home)}}).execute()
    shown = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.output_type != "error"
            # What was printed, and what is shown, as text and as HTML.
            said = [output.get("text"), *map(str, output.get("data", {}).values())]
            shown.setdefault(cell.source.splitlines()[-1], []).extend(filter(None, said))
    everything = {line: "\n".join(said) for line, said in shown.items()}
    assert "13 articles, 90 passages" in "".join(everything.values())
    assert '<mark style="' in everything["results"]
    assert "humanitarian aid" in everything["results"]
    assert "nothing relevant found; the nearest passages:" in everything['index.search("how do I bake sourdough bread", k=1)']
    assert '<div class="semsearch-map">' in everything["shown"]
    assert "of the variance" in everything["shown"]
    measured = next(said for line, said in everything.items() if "semsearch.evaluate" in line)
    assert [line.split()[0] for line in measured.splitlines()[2:5]] == ["hybrid", "dense", "lexical"]
    assert "1.0000" in measured.splitlines()[2]
    (work,) = tmp_path.glob("semsearch-*")
    assert "<!doctype html>" in (work / "map.html").read_text(encoding="utf-8")
