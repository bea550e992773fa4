"""The notebooks in docs/notebooks run from their text, and what their cells end with is shown."""

import pathlib

import matplotlib
import pytest

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))


@pytest.fixture(scope="module")
def shell():
    """The shell that runs the cells of a notebook, in this process."""
    from IPython.core.interactiveshell import InteractiveShell

    made = InteractiveShell.instance()
    made.history_manager.enabled = False
    yield made
    InteractiveShell.clear_instance()


def test_there_are_five_of_text_alone():
    assert len(NOTEBOOKS) == 5
    # outputs live in .ipynb files, which are made from these
    assert {path.suffix for path in FOLDER.iterdir() if path.is_file()} == {".py"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_ends_with(path, shell, tmp_path, monkeypatch):
    import jupytext

    monkeypatch.chdir(tmp_path)
    shell.reset(new_session=False)
    shown, page = [], jupytext.read(path)
    assert page.metadata["kernelspec"]["name"] == "python3"
    with matplotlib.rc_context({"backend": "agg"}):
        for cell in page.cells:
            if cell.cell_type != "code":
                continue
            found = shell.run_cell(cell.source, store_history=False)
            found.raise_error()
            if found.result is not None:
                formats, _ = shell.display_formatter.format(found.result)
                shown += [kind for kind in formats if kind != "text/plain"]
    # pictures and tables, not addresses of objects
    assert "image/png" in shown and "text/html" in shown
    assert not list(tmp_path.iterdir())
