"""Export: a version becomes one file that another server can check."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem
from zenml import log_metadata
from zenml.artifacts.utils import load_artifact_store
from zenml.client import Client
from zenml.models import ArtifactVersionResponse, ModelVersionResponse

from zenml_airflow.contracts.frozen import Frozen
from zenml_mlops.audit import Outcome, current_user, record
from zenml_mlops.audit.entries import canonical
from zenml_mlops.bundles.archive import write_archive
from zenml_mlops.bundles.errors import BundleRefusedError
from zenml_mlops.bundles.evidence import bundle_facts, gather_evidence, this_server, without_secrets
from zenml_mlops.bundles.formats import check_formats, showable, travels
from zenml_mlops.bundles.manifest import ARTIFACTS, EVIDENCE, Artifact, Evidence, File, Manifest
from zenml_mlops.bundles.signing import Signer, sign
from zenml_mlops.policy.engine import Assessment, judge
from zenml_mlops.promotion.machine import remembered, subject
from zenml_mlops.promotion.plans import judged_environment
from zenml_mlops.promotion.records import history, withdrawn_versions
from zenml_mlops.promotion.versions import find_version

SUFFIX = ".tar"
_MOST = 1000


class ExportResult(Frozen):
    """What was exported.

    Attributes:
        bundle: sha256 of its manifest, which names the bundle.
        size: Its size in bytes.
        signer: Fingerprint of the key that signed it.
        left_out: Artifacts of the version that do not travel.
        warnings: Policies that it breaks and that stop nothing here.
    """

    location: str
    changed: bool
    model: str
    version: int
    bundle: str
    size: int
    signer: str | None
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        signed = f"signed with {self.signer}" if self.signer else "unsigned"
        done = "is written to" if self.changed else "is there already:"
        return f"{self.model} version {self.version}, {self.size:,} bytes, {signed}, {done} {self.location}"


def export_bundle(
    model_name: str,
    number: int,
    to: str,
    *,
    environment: str | None = None,
    key: Path | None = None,
    packages: tuple[str, ...],
    actor: str | None = None,
    reason: str = "",
    progress: Callable[[str], None] = lambda _: None,
) -> ExportResult:
    """Write a version with its evidence into a bundle.

    Args:
        to: fsspec URL or path of a folder; or of the file, if it ends with ``.tar``.
        environment: The environment whose policies hold; that of the active stack by default.
        key: SSH key to sign with.
        packages: Packages whose classes a bundle may name.
        actor: Who exports it; the user of the operating system by default.

    Returns:
        What was written. The same version, with the same decisions on it, gives the same bytes.

    Raises:
        PromotionRefusedError: If there is no such version.
        BundleRefusedError: If it may not leave, or the target exists with other content.
        AuditError: If the export cannot be recorded. Nothing is written then.
    """
    version, who = find_version(model_name, number), actor or current_user()
    where = judged_environment(environment)
    with tempfile.TemporaryDirectory(prefix="mlops-bundle-") as name:
        try:
            folder = Path(name)
            _refuse_withdrawn(model_name, number)
            evidence = gather_evidence(version)
            manifest, files, left_out = _packed(version, evidence, where, packages, folder, progress)
            signature, signer = (None, None) if key is None else sign(manifest.content(), key)
            assessment = _judged(manifest, evidence, signer, where)
        except BundleRefusedError as error:
            record("export", subject(model_name, number), Outcome.REFUSED, actor=who, reason=str(error))
            raise
        packed = folder / "bundle"
        write_archive(packed, manifest, signature, files)
        location = _location(to, manifest)
        progress(f"writing {packed.stat().st_size:,} bytes")

        def record_export() -> None:
            head = record(
                "export",
                subject(model_name, number),
                Outcome.DONE,
                actor=who,
                reason=reason or None,
                verdicts=[verdict.record() for verdict in assessment.verdicts],
                links={
                    "bundle": manifest.digest,
                    "location": without_secrets(location),
                    "signer": signer.fingerprint if signer else None,
                    "environment": where,
                    "model_version": str(version.id),
                    "zenml_run": str(evidence.run.id),
                },
            )
            if head is not None:
                log_metadata(metadata=remembered(head), model_version_id=version.id)

        return ExportResult(
            location=location,
            changed=_published(packed, location, record_export),
            model=model_name,
            version=number,
            bundle=manifest.digest,
            size=packed.stat().st_size,
            signer=signer.fingerprint if signer else None,
            left_out=left_out,
            warnings=tuple(f"{v.policy} ({v.mode}): {v.message}" for v in assessment.warnings),
        )


def _refuse_withdrawn(model_name: str, number: int) -> None:
    by = withdrawn_versions(history(model_name)).get(number)
    if by is not None:
        raise BundleRefusedError(
            f"Version {number} of {model_name!r} was withdrawn by {by.actor} on {by.at:%Y-%m-%d}: {by.reason} It "
            "cannot be exported."
        )


def _judged(manifest: Manifest, evidence: Evidence, signer: Signer | None, where: str) -> Assessment:
    named = signer.name if signer else None
    facts = bundle_facts(manifest.model, manifest.version, manifest.source, evidence, named)
    assessment = judge([facts], where)
    if assessment.blocking:
        raise BundleRefusedError(
            f"Version {manifest.version} of {manifest.model!r} is not exported:\n{assessment.explain()}"
        )
    return assessment


def _packed(
    version: ModelVersionResponse,
    evidence: Evidence,
    environment: str,
    packages: tuple[str, ...],
    folder: Path,
    progress: Callable[[str], None],
) -> tuple[Manifest, dict[str, Path], tuple[str, ...]]:
    """The manifest, the files that it names on this machine, and the artifacts that stay."""
    artifacts, files, left_out = list[Artifact](), dict[str, Path](), list[str]()
    found = Client().list_artifact_versions(model_version_id=version.id, size=_MOST, hydrate=True)
    for stored in sorted(found, key=lambda item: (item.artifact.name, item.id.hex)):
        if not travels(stored.type.value, stored.materializer.import_path):
            left_out.append(stored.artifact.name)
            continue
        place = f"{ARTIFACTS}/{_unused(stored.artifact.name, {a.folder for a in artifacts})}"
        progress(f"packing {stored.artifact.name}")
        copied = _copied(stored, folder, len(artifacts))
        files |= {f"{place}/{name}": path for name, path in copied.items()}
        artifacts.append(_described(stored, place, copied))
    evidence_file = folder / EVIDENCE
    evidence_file.write_bytes(canonical(evidence.model_dump(mode="json")))
    files[EVIDENCE] = evidence_file
    check_formats(artifacts, packages, lambda path: files[path].read_bytes(), files)
    manifest = Manifest(
        model=version.model.name,
        version=int(version.number),
        version_id=str(version.id),
        created=version.created.replace(tzinfo=UTC),
        tags=tuple(sorted(tag.name for tag in Client().get_model(version.model.id).tags)),
        source=this_server(environment),
        artifacts=tuple(artifacts),
        files=tuple(_file(path, files[path]) for path in sorted(files)),
    )
    return manifest, files, tuple(left_out)


def _described(stored: ArtifactVersionResponse, place: str, copied: dict[str, Path]) -> Artifact:
    shown = {}
    for item in stored.visualizations or ():
        name = item.uri.removeprefix(f"{stored.uri.rstrip('/')}/")
        if name in copied and showable(item.type.value):
            shown[name] = item.type.value
    return Artifact(
        name=stored.artifact.name,
        type=stored.type.value,
        materializer=stored.materializer.import_path,
        data_type=stored.data_type.import_path,
        content_hash=stored.content_hash,
        folder=place,
        shown=shown,
    )


def _copied(stored: ArtifactVersionResponse, folder: Path, number: int) -> dict[str, Path]:
    """Copy the files of an artifact to this machine.

    Raises:
        BundleRefusedError: If it has a folder of its own, or its store is gone.
    """
    if stored.artifact_store_id is None:
        raise BundleRefusedError(f"The artifact store of {stored.artifact.name!r} is gone: train a new version.")
    store = load_artifact_store(stored.artifact_store_id)
    copied = {}
    for index, item in enumerate(sorted(store.listdir(stored.uri))):
        name, path = str(item), folder / f"{number}-{index}"
        source = f"{stored.uri.rstrip('/')}/{name}"
        if store.isdir(source):
            raise BundleRefusedError(
                f"The artifact {stored.artifact.name!r} holds a folder, {name}: it cannot be exported."
            )
        with store.open(source, "rb") as content, path.open("wb") as out:
            shutil.copyfileobj(content, out, 1 << 20)
        copied[name] = path
    return copied


def _file(path: str, on_disk: Path) -> File:
    with on_disk.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return File(path=path, size=on_disk.stat().st_size, sha256=digest)


def _unused(name: str, taken: set[str]) -> str:
    """A folder's name for an artifact; several may differ in signs that a path has not."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "artifact"
    plain = plain[:40]
    candidates = [plain, *(f"{plain}-{number}" for number in range(2, _MOST))]
    return next(c for c in candidates if f"{ARTIFACTS}/{c}" not in taken)


def _location(to: str, manifest: Manifest) -> str:
    if to.endswith(SUFFIX):
        return to
    model = re.sub(r"[^A-Za-z0-9._-]+", "-", manifest.model)
    return f"{to.rstrip('/')}/{model}-{manifest.version}-{manifest.digest[:12]}{SUFFIX}"


def _published(packed: Path, location: str, record_export: Callable[[], None]) -> bool:
    """Record the export and put the bundle in its place, whole; or find the same one there."""
    system: Any
    system, path = fsspec.url_to_fs(location)
    if system.exists(path):
        with packed.open("rb") as ours, system.open(path, "rb") as theirs:
            same = hashlib.file_digest(ours, "sha256").digest() == hashlib.file_digest(theirs, "sha256").digest()
        if same:
            return False
        raise BundleRefusedError(f"{location} exists with other content: name another file, or a folder.")
    if isinstance(system, LocalFileSystem):
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(packed, part)
        record_export()
        part.replace(target)
    else:
        record_export()
        system.put_file(str(packed), path)
    return True
