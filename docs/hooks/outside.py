"""Bring pages of the repository that lie outside of ``docs/`` into the site, and point links at them.

A link such as ``../benchmarks/results.md`` is right where the repository is browsed. In the site the folder
``docs/`` is the root, so the link is written anew for the build; the file stays as it is.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

OUTSIDE = (
    "CONTRIBUTING.md",
    "benchmarks/results.json",
    "benchmarks/results.md",
    "benchmarks/results.png",
    "docker/README.md",
)
"""What the site takes in, by its path in the repository; the site has it under the same path."""

_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def on_files(files: Files, *, config: MkDocsConfig, **_: Any) -> Files:
    """Add the pages of the repository to those of ``docs/``."""
    root = Path(config.config_file_path).parent
    for path in OUTSIDE:
        files.append(File.generated(config, path, content=(root / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Write a page's links anew: those that lead out of ``docs/``, and those that lead into it from outside."""
    here = page.file.src_uri
    source = here if here in OUTSIDE else f"docs/{here}"

    def link(match: re.Match[str]) -> str:
        return site_link(match[1], source, here) + (match[2] or "")

    return _LINK.sub(link, markdown)


def site_link(target: str, source: str, here: str) -> str:
    """The link in the site for a link in the repository.

    Args:
        target: The link, relative to the file that holds it.
        source: Path of that file in the repository.
        here: Path of its page in the site.

    Returns:
        The link to the same thing in the site; unchanged if the site does not have it, so that the build says so.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    if path in OUTSIDE:
        inside = path
    elif path.startswith("docs/"):
        inside = path.removeprefix("docs/")
    else:
        return target
    return posixpath.relpath(inside, posixpath.dirname(here) or ".")
