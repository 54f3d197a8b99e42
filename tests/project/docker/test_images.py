"""What the Dockerfiles say, without an engine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from labs import ROOT

DOCKERFILES = sorted((ROOT / "docker").glob("*/Dockerfile"))
IMAGES = {"airflow", "mlflow", "pipeline", "zenml-server"}
GROUPS = {
    "image-airflow": ({"apache-airflow", "apache-airflow-providers-git"}, {"zenml", "pandas", "scikit-learn"}),
    "image-mlflow": ({"mlflow", "flask-wtf", "psycopg2-binary"}, {"zenml", "apache-airflow"}),
    "image-pipeline": (
        {"zenml", "scikit-learn", "skops", "s3fs", "boto3"},
        {"apache-airflow", "apache-airflow-core", "celery"},
    ),
}


def instructions(path):
    """Keyword and rest of each instruction, comments and continuation lines taken out."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


def stages(path):
    """The instructions of each stage by its name."""
    found = {}
    for keyword, rest in instructions(path):
        if keyword == "FROM":
            name = rest.split()[-1]
            found[name] = [("BASE", rest.split()[0])]
        elif found:
            found[name].append((keyword, rest))
    return found


def whole(path, stage):
    """A stage's instructions after those of the stages that it is built on."""
    own = stages(path)[stage]
    base = own[0][1]
    return (whole(path, base) if base in stages(path) else []) + own[1:]


FINAL = [
    ("airflow", "airflow"),
    ("airflow", "worker"),
    ("mlflow", "mlflow"),
    ("pipeline", "pipeline"),
    ("zenml-server", "zenml-server"),
]


def test_there_is_one_dockerfile_an_image():
    assert {path.parent.name for path in DOCKERFILES} == IMAGES


def test_make_images_builds_each():
    built = (ROOT / "docker-compose.yml").read_text() + (ROOT / "Makefile").read_text()
    assert all(str(path.relative_to(ROOT)) in built for path in DOCKERFILES)


def test_hadolint_has_nothing_to_say():
    command = [str(Path(sys.executable).with_name("hadolint")), "--config", str(ROOT / ".hadolint.yaml")]
    found = subprocess.run([*command, *map(str, DOCKERFILES)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    bad = subprocess.run(
        [*command, "-"], input="FROM debian\nRUN cd /x\n", capture_output=True, text=True, check=False
    )
    assert bad.returncode != 0, "hadolint finds no fault with a bad file either"


@pytest.mark.parametrize(("folder", "stage"), FINAL)
def test_a_final_image_is_without_root_and_tools(folder, stage):
    path = ROOT / "docker" / folder / "Dockerfile"
    said = whole(path, stage)
    keywords = [keyword for keyword, _ in said]
    users = [rest for keyword, rest in said if keyword == "USER"]
    assert users, "no USER"
    assert re.fullmatch(r"[1-9]\d+:\d+", users[-1]), users
    assert "HEALTHCHECK" in keywords
    assert any(
        rest == "--from=builder /opt/venv /opt/venv" or f"--from={stage}-builder" in rest
        for keyword, rest in said
        if keyword == "COPY"
    )
    ran = " ".join(rest for keyword, rest in said if keyword == "RUN")
    assert not re.search(r"\bpip\b|\buv\b|gcc|build-essential", ran), ran
    if "apt-get install" in ran:
        assert "--no-install-recommends" in ran
        assert "rm -rf /var/lib/apt/lists/*" in ran
    labels = " ".join(rest for keyword, rest in said if keyword == "LABEL")
    for name in ("title", "revision", "source", "licenses"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert "io.zenml-on-airflow.lock=" in labels


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_a_base_image_is_pinned_and_no_secret_is_an_argument(path):
    said = instructions(path)
    assert ("ARG", "PYTHON_IMAGE=python:3.11-slim-bookworm") in said
    assert {rest.split()[0] for keyword, rest in said if keyword == "FROM"} <= {"${PYTHON_IMAGE}", *stages(path)}
    names = " ".join(rest for keyword, rest in said if keyword in {"ARG", "ENV"})
    assert not re.search(r"(PASSWORD|TOKEN|SECRET|API_KEY)\w*=", names), names
    for keyword, rest in said:
        if keyword == "RUN" and "pip install" in rest and "--no-deps" not in rest:
            assert "--require-hashes" in rest, rest


def uv(*arguments):
    own = ROOT / ".venv-uv" / "bin" / "uv"
    program = str(own) if own.is_file() else "uv"
    return subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_the_lock_holds_what_its_image_needs_and_not_more(group):
    """Exporting the lock fails where it does not fit pyproject.toml."""
    text = uv(
        "export", "--quiet", "--locked", "--offline", "--only-group", group, "--no-emit-project", "--no-annotate"
    )
    names = {line.split("==")[0].split("[")[0] for line in text.splitlines() if "==" in line and line[0].isalnum()}
    needed, refused = GROUPS[group]
    assert needed <= names
    assert not names & refused
    dockerfile = ROOT / "docker" / group.removeprefix("image-") / "Dockerfile"
    assert f"uv sync --frozen --no-install-workspace --only-group {group}" in dockerfile.read_text()


@pytest.mark.parametrize("name", ["docker/uv-requirements", "docker/zenml-server/requirements"])
def test_a_lock_of_its_own_fits_what_it_was_made_from(name):
    locked = (ROOT / f"{name}.txt").read_text()
    for line in (ROOT / f"{name}.in").read_text().splitlines():
        package = re.match(r"[a-z-]+", line)[0]
        version = re.search(rf"^{package}(?:\[[^\]]*\])?==(\S+)", locked, re.MULTILINE)
        assert version, f"{package} is not locked"
        if "==" in line:
            assert line.endswith(f"=={version[1]}")
    pinned = re.findall(r"^[A-Za-z0-9_.\-\[\]]+==\S+.*\n(?:    --hash=\S+ ?\\?\n?)+", locked, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[A-Za-z0-9_.\-\[\]]+==", locked, re.MULTILINE)) > 0


def test_nothing_private_enters_the_build_context():
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert not allowed & {".env", ".state", ".git", "data", "."}
    for path in DOCKERFILES:
        for keyword, rest in instructions(path):
            if keyword == "COPY" and "--from" not in rest:
                for source in rest.split()[:-1]:
                    assert source.split("/")[0] in allowed, source
                    assert (ROOT / source).exists(), source
