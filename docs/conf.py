"""The documentation site. Building it takes no network:

    python -m sphinx -W --keep-going -n docs site/html

Expected: under 60 s, no warning. A broken link, also to a file of the repository, a public name
without docstring or without a place in api.md, and a page that no table of contents has, are
warnings, and so end the build.

Sphinx, as it reads the Markdown of this folder as it is (MyST), makes pages from click and from
docstrings, and fails on what does not resolve. MkDocs has had no release since 2024, Material for
MkDocs gets none but repairs, until November 2026, and Zensical, which follows it, is at 0.1.
"""

import posixpath
import pydoc
import re
from pathlib import Path, PurePath

import click
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

import circlemnist.losses
from circlemnist.explain.page import write_explainer

# this folder's pages for files that are beside it
PAGES = {
    "README.md": "docs/index.md",
    "README.ja.md": "docs/ja.md",
    "CONTRIBUTING.md": "docs/contributing.md",
    "CHANGELOG.md": "docs/changelog.md",
}

project = "circlemnist"
author = "The circlemnist authors"
release = version = circlemnist.__version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_click"]
html_theme = "furo"
html_title = f"circlemnist {release}"
html_show_copyright = False
html_copy_source = False

# links to headings, with the ids that GitHub gives them
myst_heading_anchors = 4
# the notebook is run by its test; here its kept pictures are shown
nb_execution_mode = "off"

# `code` in docstrings, as in Markdown
default_role = "code"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
# types of other packages, whose documentation would have to be fetched
nitpick_ignore_regex = [("py:.*", r"Tensor|(torch|numpy|PIL|pathlib|collections)\..*")]

LINK = re.compile(r"^```.*?^```|`[^`\n]+`|\]\(([^)\s]+)\)", re.DOTALL | re.MULTILINE)
# of a help, to be shown as code: in prose its two dashes would become one
FLAG = re.compile(r"(?<![\w`-])--[a-z][a-z-]*")
logger = logging.getLogger(__name__)


def relinked(text: str, folder: str) -> str:
    """Markdown of a file in `folder` of the repository, as it is read from a page in docs/."""

    def moved(found: re.Match[str]) -> str:
        path, mark, anchor = (found[1] or "").partition("#")
        if not path or re.match(r"[a-z]+:", path):  # code, or a link within a page or to elsewhere
            return found[0]
        path = posixpath.normpath(posixpath.join(folder, path))
        return f"]({posixpath.relpath(PAGES.get(path, path), 'docs')}{mark}{anchor})"

    return LINK.sub(moved, text)


def on_page(_: Sphinx, docname: str, content: list[str]) -> None:
    """Read a page of this folder."""
    content[0] = relinked(content[0], posixpath.dirname(f"docs/{docname}"))


def on_included(_: Sphinx, path: PurePath, docname: str, content: list[str]) -> None:
    """Read a file that a page includes."""
    content[0] = relinked(content[0], posixpath.dirname(posixpath.normpath(f"docs/{path}")))


def on_help(_: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Show what click keeps as it stands, after `\\b`, as a block; a command has examples there."""
    if context.parent is not None and "| Examples:" not in lines:
        logger.warning("the help of `%s` has no examples", context.command_path)
    kept = []
    for before, line in zip(["", *lines], lines, strict=False):
        if not line.startswith("| "):
            kept.append(FLAG.sub(r"``\g<0>``", line))
            continue
        if not before.startswith("| "):
            kept += [".. code-block:: text", ""]
        kept.append("   " + line.removeprefix("| "))
    lines[:] = kept


def on_flags(_: Sphinx, context: click.Context, lines: list[str]) -> None:
    """Show flags as code, and defaults as they are typed rather than as Python shows them."""
    for number, line in enumerate(lines):
        if not line.startswith(".. option::"):
            line = re.sub(r"``(?:\w*Path\()?'(.*)'\)?``", r"``\1``", line)
            lines[number] = FLAG.sub(r"``\g<0>``", line)


def on_all_read(_: Sphinx, env: BuildEnvironment) -> None:
    """What is public is on a page, and what is on a page has a docstring."""
    found = env.domains["py"].objects
    for name in circlemnist.losses.__all__ + circlemnist.__all__:
        places = [f"circlemnist.{name}", f"circlemnist.losses.{name}"]
        if name != "__version__" and not any(place in found for place in places):
            logger.warning("%s is public, and on no page", name)
    for name, entry in found.items():
        if entry.aliased or entry.objtype in ("attribute", "data"):
            continue
        if not getattr(pydoc.locate(name), "__doc__", None):
            logger.warning("the %s %s has no docstring", entry.objtype, name)


def on_built(app: Sphinx, failure: Exception | None) -> None:
    """Write the explainer into the site, in both languages."""
    if failure is None and app.builder.format == "html":
        for language, ending in (("en", ""), ("ja", ".ja")):
            write_explainer(Path(app.outdir, f"circle-loss-explained{ending}.html"), language)


def setup(app: Sphinx) -> None:
    """Connect the functions above; Sphinx calls it."""
    app.connect("source-read", on_page)
    app.connect("include-read", on_included)
    app.connect("sphinx-click-process-description", on_help)
    app.connect("sphinx-click-process-options", on_flags)
    app.connect("env-check-consistency", on_all_read)
    app.connect("build-finished", on_built)
