"""The documentation site: what `make docs` builds, and what must be in it."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml
from labs import ROOT
from typer.main import get_command

from zenml_airflow.manifest.manifest import Manifest, StepSpec
from zenml_mlops.cli.app import app
from zenml_mlops.inference.config import BatchInferenceConfig
from zenml_mlops.monitoring.config import MonitoringConfig
from zenml_mlops.policy.rules.catalog import rules
from zenml_mlops.policy.schema import load_policies
from zenml_mlops.training.config import TrainingConfig

DOCS = ROOT / "docs"
TAKEN_IN = {"CONTRIBUTING.md", "benchmarks/results.md", "docker/README.md"}
GENERATED = {f"reference/{name}.md" for name in ("commands", "policies", "configuration", "manifest")}
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:work|root|tmp|home/\w)(?:/|\b)")
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|docker\.io|ghcr\.io|gcr\.io|quay\.io|registry\.npmjs|unpkg\.com|jsdelivr\.net"
    r"|cdnjs\.|googleapis\.com|gstatic\.com|google-analytics|googletagmanager",
    re.IGNORECASE,
)


class Page(HTMLParser):
    """What a page shows, and what a browser loads for it."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.classes, self.headings, self._heading = [], set(), [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.classes |= set((found.get("class") or "").split())
        if tag in ("img", "script", "iframe", "source") and found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("href"):
            self.loads.append(found["href"])
        if tag in ("h2", "h3"):
            self._heading = ""

    def handle_data(self, data):
        if self._heading is not None:
            self._heading += data

    def handle_endtag(self, tag):
        if tag in ("h2", "h3") and self._heading is not None:
            self.headings.append(self._heading.removesuffix("¶").strip())
            self._heading = None


def build(config, target):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--config-file",
            str(config),
            "--site-dir",
            str(target),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    result = build(ROOT / "mkdocs.yml", folder)
    assert result.returncode == 0, result.stderr
    assert "WARNING" not in result.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site):
    found = {str(path.relative_to(site)): path.read_text() for path in site.rglob("*.html")}
    assert len(found) > 30
    return found


def sources():
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for path in (*sorted(DOCS.rglob("*.md")), ROOT / "mkdocs.yml")
    }


def navigation():
    def leaves(item):
        if isinstance(item, str):
            yield item
            return
        for child in item.values() if isinstance(item, dict) else item:
            yield from leaves(child)

    return list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))


def test_every_page_is_in_the_navigation_once():
    listed = navigation()
    assert len(listed) == len(set(listed))
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    assert set(listed) == written | TAKEN_IN | GENERATED


def test_every_page_is_built(pages):
    for page in navigation():
        name = "docker/index.html" if page == "docker/README.md" else page.replace(".md", ".html")
        assert name in pages


def test_a_broken_link_fails_the_build(tmp_path):
    """Whatever else is set, strictness is what makes the other links worth following."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# A page\n\n[gone](gone.md), [no such part](index.md#nowhere)\n")
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    kept = {key: settings[key] for key in ("site_name", "docs_dir", "strict", "validation")}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(kept))
    result = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert result.returncode == 1
    assert "gone.md" in result.stderr
    assert "nowhere" in result.stderr


def test_links_between_the_repository_and_the_site_are_right_in_both(pages):
    for name, text in sources().items():
        for target in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text):
            assert ((ROOT / name).parent / target).exists(), f"{name}: {target}"
    assert 'href="benchmarks/results.html"' in pages["capacity.html"]
    assert 'href="../capacity.html"' in pages["docker/index.html"]


def test_every_picture_exists_and_is_used(site):
    used = set()
    for name, text in sources().items():
        for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text):
            path = ((ROOT / name).parent / target).resolve()
            assert path.is_file(), f"{name}: {target}"
            used.add(path)
    there = {path for path in (DOCS / "images").iterdir() if path.is_file()}
    assert there == {path for path in used if path.is_relative_to(DOCS)}
    for path in there:
        assert (site / path.relative_to(DOCS)).is_file()


def test_every_picture_says_what_it_shows():
    for name, text in sources().items():
        assert not re.findall(r"!\[\s*\]\(", text), name


def test_no_path_of_a_machine_and_no_registry(pages):
    for name, text in {**sources(), **pages}.items():
        assert str(ROOT) not in text, name
        assert not MACHINE_PATH.findall(text), f"{name}: {MACHINE_PATH.search(text)}"
        assert not REGISTRY.findall(text), f"{name}: {REGISTRY.search(text)}"


def test_pages_load_nothing_from_elsewhere(pages):
    for name, text in pages.items():
        page = Page(text)
        assert not [url for url in page.loads if re.match(r"(?:[a-z]+:)?//", url)], name
        # The theme would fetch the program that draws them.
        assert "mermaid" not in page.classes, name


def test_no_program_of_the_build_is_published(site):
    assert not list(site.rglob("*.py"))
    assert not list(site.rglob("__pycache__"))


def every_command(command=None, path=("mlops",)):
    found = get_command(app) if command is None else command
    for name, child in getattr(found, "commands", {}).items():
        yield from every_command(child, (*path, name))
    if not hasattr(found, "commands"):
        yield " ".join(path), found


def test_every_command_is_in_the_reference(pages):
    text = pages["reference/commands.html"]
    commands = dict(every_command())
    assert len(commands) > 40
    assert Page(text).headings == sorted(commands)
    for heading, part in zip(sorted(commands), re.split(r"<h2 ", text)[1:], strict=True):
        for parameter in commands[heading].params:
            for option in [] if parameter.name == "help" else parameter.opts:
                wanted = option if option.startswith("-") else parameter.name.upper()
                assert f"<code>{wanted}</code>" in part, f"{heading}: {wanted}"


def test_every_rule_and_every_policy_is_in_the_reference(pages):
    headings = Page(pages["reference/policies.html"]).headings
    assert len(rules()) > 30
    assert sorted(headings) == sorted([*rules(), *(policy.id for policy in load_policies())])


@pytest.mark.parametrize(
    "model", [TrainingConfig, BatchInferenceConfig, MonitoringConfig], ids=lambda m: m.__name__
)
def test_every_field_of_a_configuration_is_in_the_reference(pages, model):
    part = pages["reference/configuration.html"].partition(f'id="{model.__name__.lower()}"')[2].partition("<h2")[0]
    for name in model.model_fields:
        assert f"<code>{name}</code>" in part


def test_every_field_of_a_manifest_is_in_the_reference(pages):
    text = pages["reference/manifest.html"]
    for name in {**Manifest.model_fields, **StepSpec.model_fields}:
        assert f"<code>{name}</code>" in text
