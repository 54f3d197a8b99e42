"""The code that a run executed: commit, dependency lock, image, as its snapshot recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zenml.models import PipelineRunResponse

from zenml_mlops.lineage.nodes import Kind, Node, State, facts, missing
from zenml_mlops.policy.describe import DEPLOYMENT_KEY


def code_node(run: PipelineRunResponse) -> Node:
    """What a run executed, from its snapshot and the provenance that its pipeline was given."""
    extra, given = run.config.extra or {}, _provenance(run)
    made: Mapping[str, Any] = extra.get(DEPLOYMENT_KEY, {}).get("facts", {})
    commit = given.get("commit") or made.get("commit")
    dirty = given.get("dirty") if given.get("commit") else made.get("dirty")
    known = facts(
        commit=commit,
        uncommitted_changes=dirty,
        code_digest=extra.get("code_digest"),
        snapshot=run.snapshot.id if run.snapshot else None,
    )
    children = (_lock(given.get("lock") or made.get("lock"), made), _image(given, made))
    if commit is None:
        node = missing(Kind.CODE, "code", "Neither the snapshot nor the run says which commit it was made from.")
        return node.model_copy(update={"facts": known, "children": children})
    changes = " with uncommitted changes" if dirty else ""
    other = made.get("commit")
    differs = f"The snapshot was deployed from commit {other}." if other not in {None, commit} else None
    return Node(
        kind=Kind.CODE,
        title=f"commit {commit[:12]}{changes}",
        state=State.CHANGED if differs else State.RECORDED,
        note=differs,
        facts=known,
        children=children,
    )


def _lock(digest: str | None, made: Mapping[str, Any]) -> Node:
    if digest is None:
        return missing(Kind.LOCK, "dependency lock", "Its digest was not recorded.")
    image = made.get("image_lock_digest")
    differs = f"The image was built from dependency lock {image}." if image not in {None, digest} else None
    return Node(
        kind=Kind.LOCK,
        title=f"dependency lock {digest[:12]}",
        state=State.CHANGED if differs else State.RECORDED,
        note=differs,
        facts=facts(sha256=digest, lock_of_the_image=image),
    )


def _image(given: Mapping[str, Any], made: Mapping[str, Any]) -> Node:
    image = given.get("image") or made.get("image")
    if image is not None:
        return Node(kind=Kind.IMAGE, title=f"image {image}", facts=facts(image=image))
    if made.get("needs_image"):
        return missing(Kind.IMAGE, "image", "The steps ran in containers, and no image was recorded.")
    own = "The steps ran in the worker's own environment."
    return Node(kind=Kind.IMAGE, title="no image", state=State.NONE, note=own)


def _provenance(run: PipelineRunResponse) -> Mapping[str, Any]:
    """What the pipeline was told of its code: a parameter of its steps, which ZenML keeps with the snapshot."""
    if run.snapshot is None:
        return {}
    for step in run.snapshot.step_configurations.values():
        found: Any = (step.config.parameters or {}).get("provenance")
        if found is not None:
            content = found if isinstance(found, dict) else found.model_dump(mode="json")
            return dict(content)
    return {}
