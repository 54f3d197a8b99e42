"""Import: a verified bundle becomes a version in no stage, with the evidence of the server that trained it.

``verified → files stored → version created → artifacts registered and linked → audit entry → evidence written``.
Each step may be repeated, and only the last one, a single write, makes the version one that can be promoted. So a
process that dies leaves nothing that counts, and the next import of the same bundle goes on from there.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zenml import log_metadata
from zenml.client import Client
from zenml.metadata.metadata_types import MetadataType
from zenml.models import ModelResponse, ModelVersionResponse

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.model_records import APPROVALS_METADATA
from zenml_airflow.contracts.origins import ORIGIN_METADATA, SERVER_LINK, Hop, Origin, origin_of
from zenml_mlops.audit import Outcome, current_user, record, recorded_head
from zenml_mlops.bundles.archive import Archive, open_archive
from zenml_mlops.bundles.errors import BundleRefusedError
from zenml_mlops.bundles.manifest import Manifest
from zenml_mlops.bundles.storing import store_artifacts, store_files
from zenml_mlops.bundles.verification import Rules, Verified, fetch, refuse_imported, verify_bundle
from zenml_mlops.cards.card import DECISIONS_METADATA, Decision
from zenml_mlops.promotion.lock import StageLock
from zenml_mlops.promotion.machine import remembered, subject
from zenml_mlops.promotion.plans import judged_environment
from zenml_mlops.promotion.versions import begun_with

_ACTION = "import"


class ImportResult(Frozen):
    """What was imported.

    Attributes:
        version: Number of the version on this server; ``None`` if it was only verified.
        bundle: sha256 of the bundle's manifest.
        warnings: Policies that it breaks and that stop nothing here.
    """

    model: str
    version: int | None
    bundle: str
    origin: Origin
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        if self.version is None:
            return (
                f"The bundle of {self.model} is valid and would be imported: {self.origin}. Nothing was changed."
            )
        return f"{self.model} version {self.version} is imported from {self.origin}; it is in no stage."


def import_bundle(
    location: str,
    rules: Rules,
    *,
    environment: str | None = None,
    actor: str | None = None,
    reason: str = "",
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> ImportResult:
    """Verify a bundle and let its version in.

    Args:
        location: fsspec URL or path of the bundle.
        environment: The environment whose policies hold; that of the active stack by default.
        actor: Who imports it; the user of the operating system by default.

    Raises:
        TamperedError: If the bundle is not what was exported. Nothing is changed then.
        UnknownSignerError: If nobody who may signed it. Nothing is changed then.
        AlreadyImportedError: If its version is here already. Nothing is changed then.
        BundleRefusedError: If it breaks another rule. Nothing is changed then.
        LockedError: If a change of the model's stages, or another import, is under way.
        AuditError: If the import cannot be recorded. The version counts for nothing then.
    """
    who, where = actor or current_user(), judged_environment(environment)
    with tempfile.TemporaryDirectory(prefix="mlops-bundle-") as folder:
        try:
            progress("fetching")
            path = fetch(location, Path(folder), rules.most_bytes)
            with open_archive(path) as archive:
                progress("verifying")
                verified = verify_bundle(archive, rules, where)
                origin = _origin(verified, who)
                if dry_run:
                    return _result(verified, origin, None)
                return _let_in(archive, verified, origin, reason, progress)
        except BundleRefusedError as error:
            if not dry_run:
                name = location.rstrip("/").rpartition("/")[2]
                record(_ACTION, f"bundle:{name}", Outcome.REFUSED, actor=who, reason=str(error))
            raise


def _let_in(
    archive: Archive, verified: Verified, origin: Origin, reason: str, progress: Callable[[str], None]
) -> ImportResult:
    manifest = verified.manifest
    # Before the lock, whose lease is short: what lies in the store and is not registered counts for nothing.
    folder = store_files(archive, progress)
    model = _model(manifest)
    with StageLock(manifest.model, model.id) as lock:
        refuse_imported(manifest)
        version, resumed = _version(model, manifest)
        progress("registering the artifacts")
        store_artifacts(manifest, version, folder)
        lock.check()
        _finish(version, verified, origin, reason, resumed=resumed)
    imported = Client().get_model_version(model.id, version.id)
    if origin_of(imported.run_metadata) is None:
        raise BundleRefusedError(
            f"ZenML did not keep the evidence of version {version.number} of {manifest.model!r}, so it cannot be "
            "promoted: look at its log."
        )
    return _result(verified, origin, int(version.number))


def _finish(
    version: ModelVersionResponse, verified: Verified, origin: Origin, reason: str, *, resumed: bool
) -> None:
    """Record the import, once, and write the evidence in one piece."""
    ids = {"bundle": origin.last.bundle, "model_version": str(version.id)}
    head = recorded_head(Outcome.DONE, ids) if resumed else None
    if head is None:
        head = record(
            _ACTION,
            subject(verified.manifest.model, int(version.number)),
            Outcome.DONE,
            actor=origin.imported_by,
            reason=reason or None,
            verdicts=[verdict.record() for verdict in verified.assessment.verdicts],
            links={**origin.links, **ids, "commit": origin.commit},
        )
    log_metadata(
        metadata={**_metadata(version, verified, origin, reason), **remembered(head)}, model_version_id=version.id
    )


def _metadata(
    version: ModelVersionResponse, verified: Verified, origin: Origin, reason: str
) -> dict[str, MetadataType]:
    evidence, server = verified.evidence, str(verified.manifest.source)
    # Nobody vouches for what an unsigned bundle says that persons have decided.
    approvals = evidence.approvals if verified.signer else ()
    let_in = Decision(
        action=_ACTION, by=origin.imported_by, at=origin.imported_at, reason=f"From {origin}. {reason}".strip()
    )
    decisions = [d.model_copy(update={"action": f"{d.action} [{server}]"}) for d in evidence.decisions]
    marked = [
        a.model_copy(update={"links": {SERVER_LINK: server, "bundle": origin.last.bundle, **a.links}})
        for a in approvals
    ]
    # What was decided here about a version whose import had been interrupted stays, and is the latest.
    here: dict[str, Any] = version.run_metadata
    written: dict[str, Any] = {
        **evidence.metadata,
        APPROVALS_METADATA: [*(a.model_dump(mode="json") for a in marked), *here.get(APPROVALS_METADATA, [])],
        DECISIONS_METADATA: [
            *(d.model_dump(mode="json") for d in decisions),
            *here.get(DECISIONS_METADATA, []),
            let_in.model_dump(mode="json"),
        ],
        ORIGIN_METADATA: origin.model_dump(mode="json", exclude_none=True),
    }
    return {key: value for key, value in written.items() if value != []}


def _origin(verified: Verified, who: str) -> Origin:
    manifest, evidence, signer = verified.manifest, verified.evidence, verified.signer
    hop = Hop(
        server=manifest.source,
        version=manifest.version,
        version_id=manifest.version_id,
        chain=evidence.chain,
        bundle=manifest.digest,
        signer=signer.name if signer else None,
        fingerprint=signer.fingerprint if signer else None,
    )
    return Origin(
        hops=(*evidence.hops, hop),
        run=evidence.run,
        commit=evidence.commit,
        data_digest=evidence.data_digest,
        files={file.path: file.sha256 for file in manifest.files},
        imported_by=who,
        imported_at=datetime.now(UTC),
    )


def _model(manifest: Manifest) -> ModelResponse:
    client = Client()
    try:
        return client.get_model(manifest.model)
    except KeyError:
        return client.create_model(name=manifest.model, tags=list(manifest.tags), save_models_to_registry=False)


def _version(model: ModelResponse, manifest: Manifest) -> tuple[ModelVersionResponse, bool]:
    """The version that the bundle becomes, and whether an interrupted import has made it.

    Its name, which can exist once for a model, says where it comes from.

    Raises:
        BundleRefusedError: If another bundle of the same version was begun.
    """
    client = Client()
    environment = re.sub(r"[^A-Za-z0-9]+", "-", manifest.source.environment)
    name = f"{environment}-{manifest.version}-{manifest.version_id[:8]}"
    description = begun_with(manifest.digest)
    try:
        found = client.get_model_version(model.id, name)
    except KeyError:
        return client.create_model_version(model.id, name=name, description=description), False
    if found.description != description:
        raise BundleRefusedError(
            f"The import of another bundle of this version was interrupted: {found.description}. Import that "
            f"one, or remove what it left with `zenml model version delete {manifest.model} {name}`."
        )
    return found, True


def _result(verified: Verified, origin: Origin, number: int | None) -> ImportResult:
    return ImportResult(
        model=verified.manifest.model,
        version=number,
        bundle=verified.manifest.digest,
        origin=origin,
        warnings=tuple(f"{v.policy} ({v.mode}): {v.message}" for v in verified.assessment.warnings),
    )
