"""The documentation site: ``python -m sphinx -W --keep-going -b html docs site``."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

import written  # noqa: E402  (the path above comes first)

import wgf  # noqa: E402

project = "wgf"
author = "the wgf developers"
copyright = author
version = release = wgf.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
# nothing is read from the network: references to other projects stay text
intersphinx_mapping = {}
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["notebooks/**"]
html_theme = "furo"
html_title = f"wgf {release}"
html_logo = None

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_default_options = {"members": True, "show-inheritance": True}
# files of the repository that pages link to are not pages of the site
suppress_warnings = ["myst.xref_missing"]


def _keep_equations(app, what, name, object, options, lines):
    """Keep the equations of a docstring, indented paragraphs of its text, as they are typed."""
    for i in range(len(lines) - 1, 0, -1):
        starts = lines[i].startswith("    ") and not lines[i - 1].strip()
        before = next((line for line in reversed(lines[:i]) if line.strip()), "")
        if starts and before and not before.startswith((" ", "..", "::", ":")):
            lines[i:i] = ["::", ""]


def setup(app):
    """Write the pages that are made from the code before anything is read."""
    written.write(HERE / "generated")
    app.connect("autodoc-process-docstring", _keep_equations, priority=100)
