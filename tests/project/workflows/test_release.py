"""The release: what starts it, what it builds, and who may publish."""

import re

import pytest
from labs import ROOT
from labs.versions import NAMES, VERSION
from workflow_files import load

RELEASE = load(ROOT / ".github/workflows/release.yml")
JOBS = RELEASE["jobs"]
DOCKERFILES = {path.parent.name: path.read_text() for path in (ROOT / "docker").glob("*/Dockerfile")}


def starts(tag):
    """Whether a push of the tag starts the workflow: in a filter a plus repeats, and a point is itself."""
    return any(re.fullmatch(one.replace(".", r"\."), tag) for one in RELEASE["on"]["push"]["tags"])


@pytest.mark.parametrize("tag", [f"v{VERSION}", "v1.20.3", "v1.0.0rc1"])
def test_the_tag_of_a_version_starts_it(tag):
    assert starts(tag)
    assert NAMES["_order"](tag[1:])


@pytest.mark.parametrize("tag", ["v1", "1.0.0", "v1.0.0-2", "model-v1.0.0", "vnext"])
def test_another_tag_does_not(tag):
    assert not starts(tag)


def test_nothing_else_starts_it():
    assert set(RELEASE["on"]) == {"push"}
    assert set(RELEASE["on"]["push"]) == {"tags"}


def test_the_images_are_those_that_are_built_by_hand():
    wanted = {(folder, stage) for folder, text in DOCKERFILES.items() for stage in _final(text)}
    matrix = JOBS["images"]["strategy"]["matrix"]["include"]
    assert {(one["folder"], one["image"]) for one in matrix} == wanted
    used = (ROOT / "docker-compose.yml").read_text() + (ROOT / "Makefile").read_text()
    assert {one["image"] for one in matrix} == set(re.findall(r"zenml-on-airflow/([a-z-]+):\$", used))


def _final(dockerfile):
    """Stages that carry an image's labels, their own or those of the stage that they are built on."""
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", dockerfile, re.MULTILINE | re.DOTALL))
    return {name for name, text in stages.items() if "org.opencontainers.image.title=" in text}


def test_an_image_is_built_with_what_its_dockerfile_asks_for():
    (build,) = [one for one in JOBS["images"]["steps"] if "build-push-action@" in one.get("uses", "")]
    given = {line.partition("=")[0] for line in build["with"]["build-args"].splitlines()}
    for folder, text in DOCKERFILES.items():
        asked = set(re.findall(r"^ARG (\w+)=unknown", text, re.MULTILINE))
        assert asked == given, folder


def test_an_image_has_provenance_and_a_bill_of_materials_and_its_digest_is_signed():
    *_, build, sign = JOBS["images"]["steps"]
    assert (build["with"]["provenance"], build["with"]["sbom"], build["with"]["push"]) == ("mode=max", True, True)
    assert f"steps.{build['id']}.outputs.digest" in sign["with"]["subject-digest"]
    assert sign["with"]["push-to-registry"] is True


def test_who_publishes_checks_nothing_out_and_comes_last():
    publish = JOBS["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert set(publish["needs"]) == set(JOBS) - {"publish"}
    assert [one["uses"].partition("@")[0] for one in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    assert publish["steps"][-1]["with"]["attestations"] is True
    # A trusted publisher has no password.
    assert not {"user", "password"} & set(publish["steps"][-1]["with"])


def test_the_packages_are_built_after_ci_has_passed_and_the_tag_was_compared():
    runs = [one.get("run", "") for one in JOBS["packages"]["steps"]]
    where = [
        next(place for place, run in enumerate(runs) if text in run)
        for text in ("--workflow ci.yml", '.ci/version.py check "$TAG"', "make packages")
    ]
    assert where == sorted(where)
    assert JOBS["packages"]["permissions"] == {"actions": "read", "contents": "read"}
    (upload,) = [one for one in JOBS["packages"]["steps"] if "upload-artifact@" in one.get("uses", "")]
    rule = re.search(r"^packages:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    assert rule.count(f"--out-dir {upload['with']['path']}\n") == 2


def test_what_may_push_or_sign_stands_behind_the_environment_of_releases():
    for name, job in JOBS.items():
        assert ("write" in job["permissions"].values()) == (job.get("environment") == "release"), name
