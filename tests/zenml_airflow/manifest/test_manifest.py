import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from labs.manifests import manifest, step
from pydantic import ValidationError

from zenml_airflow.manifest.manifest import ManifestError, manifest_path, read_manifest, write_manifest


def test_what_is_written_is_read(tmp_path):
    path = write_manifest(manifest(), tmp_path)
    assert read_manifest(manifest_path(tmp_path, "training"), "training") == manifest().sealed()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_file_is_stable_and_diffable(tmp_path):
    first = write_manifest(manifest(), tmp_path).read_bytes()
    assert write_manifest(manifest(), tmp_path).read_bytes() == first
    text = first.decode()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


def test_a_missing_manifest_says_how_to_write_it(tmp_path):
    with pytest.raises(ManifestError, match="mlops deploy training"):
        read_manifest(manifest_path(tmp_path, "training"), "training")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(schema_version=99), "schema version 99"),
        (lambda content: content.update(snapshot_id="other"), "changed after it was written"),
        (lambda content: content.update(extra=1), "extra"),
        (lambda content: content["steps"].pop(0), "upstream steps that do not exist"),
        (lambda content: content["code"].update(digest="short"), "code.digest"),
        (lambda content: content.pop("stack"), "stack"),
    ],
)
def test_a_damaged_manifest_is_refused_with_the_reason(tmp_path, change, message):
    path = write_manifest(manifest(), tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ManifestError, match=message):
        read_manifest(manifest_path(tmp_path, "training"), "training")


@pytest.mark.parametrize("text", ["", "[]", "not json", '"text"'])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    manifest_path(tmp_path, "training").write_text(text)
    with pytest.raises(ManifestError):
        read_manifest(manifest_path(tmp_path, "training"), "training")


def test_the_manifest_of_another_pipeline_is_refused(tmp_path):
    write_manifest(manifest("scoring"), tmp_path).rename(manifest_path(tmp_path, "training"))
    with pytest.raises(ManifestError, match="'scoring'"):
        read_manifest(manifest_path(tmp_path, "training"), "training")


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("a", "b"), step("b", "a")], "wait for each other"),
        ([step("a"), step("a")], "twice"),
        ([step("b", "a"), step("a")], "comes before"),
        ([step("a", "z")], "do not exist"),
    ],
)
def test_steps_must_form_a_graph(steps, message):
    with pytest.raises(ValidationError, match=message):
        manifest(steps=steps)


def leaves(content, *path):
    """Paths of all plain values in nested JSON."""
    if isinstance(content, dict | list):
        items = content.items() if isinstance(content, dict) else enumerate(content)
        return [leaf for key, value in items for leaf in leaves(value, *path, key)]
    return [path]


LEAVES = leaves(json.loads(manifest().sealed().to_json()))
OF_THE_SAME_TYPE = {
    bool: st.booleans(),
    int: st.integers(),
    str: st.text(),
    # What is absent can be text or a number.
    type(None): st.text() | st.integers() | st.floats(allow_nan=False),
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


def read_after_edit(folder, leaf, draw):
    """Write the manifest, put what ``draw`` makes of the value at ``leaf`` in its place, and read it."""
    path = write_manifest(manifest(), folder)
    content = json.loads(path.read_text())
    place = content
    for key in leaf[:-1]:
        place = place[key]
    place[leaf[-1]] = draw(place[leaf[-1]])
    path.write_text(json.dumps(content))
    return read_manifest(manifest_path(folder, "training"), "training")


@settings(deadline=None)
@given(leaf=st.sampled_from(LEAVES), data=st.data())
def test_another_value_is_refused_wherever_it_stands(tmp_path_factory, leaf, data):
    def draw(old):
        new = data.draw(OF_THE_SAME_TYPE[type(old)])
        assume(new != old)
        return new

    with pytest.raises(ManifestError):
        read_after_edit(tmp_path_factory.mktemp("manifest"), leaf, draw)


@settings(deadline=None)
@given(leaf=st.sampled_from(LEAVES), data=st.data())
def test_no_edit_at_all_gives_another_manifest(tmp_path_factory, leaf, data):
    """JSON of another type is refused, or read as the value that it equals (``2.0`` for ``2``)."""
    try:
        found = read_after_edit(tmp_path_factory.mktemp("manifest"), leaf, lambda old: data.draw(ANYTHING))
    except ManifestError:
        return
    assert found == manifest().sealed()
