"""Verify a bundle: everything is looked at before anything on this server is touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import fsspec
from zenml.constants import TEXT_FIELD_MAX_LENGTH

from zenml_airflow.contracts.frozen import Frozen
from zenml_airflow.contracts.origins import origin_of
from zenml_mlops.bundles.archive import Archive
from zenml_mlops.bundles.errors import AlreadyImportedError, BundleRefusedError
from zenml_mlops.bundles.evidence import bundle_facts, this_server
from zenml_mlops.bundles.formats import check_formats
from zenml_mlops.bundles.manifest import EVIDENCE, Evidence, Manifest, parse_evidence
from zenml_mlops.bundles.signing import Signer, verify
from zenml_mlops.policy.engine import Assessment, judge
from zenml_mlops.promotion.versions import versions


class Rules(Frozen):
    """What a server asks of the bundles that it lets in.

    Attributes:
        packages: Packages whose classes a bundle may name.
        models: Models that this server takes; any if it is empty.
    """

    allowed_signers: Path
    packages: tuple[str, ...]
    models: tuple[str, ...] = ()
    most_bytes: int = 4 * 1024**3


class Verified(Frozen):
    """What is known of a bundle that kept every rule."""

    manifest: Manifest
    evidence: Evidence
    signer: Signer | None
    assessment: Assessment


def fetch(location: str, folder: Path, most_bytes: int) -> Path:
    """Bring a bundle to this machine.

    Raises:
        BundleRefusedError: If there is none, or it is too large.
    """
    system: Any
    system, path = fsspec.url_to_fs(location)
    if not system.isfile(path):
        raise BundleRefusedError(f"There is no bundle {location}: name the file that `mlops export` wrote.")
    size = int(system.size(path) or 0)
    if size > most_bytes:
        raise BundleRefusedError(
            f"{location} has {size:,} bytes, more than the {most_bytes:,} of `bundles.most_bytes` in configs/."
        )
    target = folder / "bundle"
    with system.open(path, "rb") as content, target.open("wb") as out:
        shutil.copyfileobj(content, out, 1 << 20)
    return target


def verify_bundle(archive: Archive, rules: Rules, environment: str) -> Verified:
    """Verify signature, files, formats, model, way and policies, in this order.

    Raises:
        TamperedError: If a byte is not what was exported.
        UnknownSignerError: If it is signed by somebody who is not allowed to.
        AlreadyImportedError: If its version is here already.
        BundleRefusedError: If it breaks another rule.
    """
    manifest = archive.manifest
    # A signature that is there must be good, in every environment; whether there must be one, a policy says.
    signer = None
    if archive.signature is not None:
        signer = verify(archive.content, archive.signature, rules.allowed_signers)
    archive.check()
    evidence = parse_evidence(archive.read(EVIDENCE))
    _check_model(manifest, rules.models)
    check_formats(manifest.artifacts, rules.packages, archive.read, (file.path for file in manifest.files))
    _check_size(evidence)
    _check_way(manifest, evidence, environment)
    refuse_imported(manifest)
    named = signer.name if signer else None
    facts = bundle_facts(manifest.model, manifest.version, manifest.source, evidence, named)
    assessment = judge([facts], environment)
    if assessment.blocking:
        raise BundleRefusedError(
            f"The bundle of {manifest.model!r} version {manifest.version} is not accepted into "
            f"{environment}:\n{assessment.explain()}"
        )
    return Verified(manifest=manifest, evidence=evidence, signer=signer, assessment=assessment)


def refuse_imported(manifest: Manifest) -> None:
    """Refuse a version that is here already.

    Raises:
        AlreadyImportedError: If it is.
    """
    for version in versions(manifest.model):
        origin = origin_of(version.run_metadata)
        if origin is not None and str(origin.last.version_id) == manifest.version_id:
            raise AlreadyImportedError(
                f"Version {manifest.version} of {manifest.model!r} from {manifest.source} was imported by "
                f"{origin.imported_by} on {origin.imported_at:%Y-%m-%d} and is version {version.number} here; "
                "nothing changed."
            )


def _check_model(manifest: Manifest, models: Collection[str]) -> None:
    if models and manifest.model not in models:
        raise BundleRefusedError(
            f"The bundle holds the model {manifest.model!r}, and {sorted(models)} is what may be imported here: "
            "take the right bundle, or name the model in configs/."
        )


def _check_way(manifest: Manifest, evidence: Evidence, environment: str) -> None:
    here = this_server(environment).id
    if here in {manifest.source.id, *(hop.server.id for hop in evidence.hops)}:
        raise BundleRefusedError(
            f"The version comes from this server, where it is a version of {manifest.model!r} already: see "
            f"`mlops models show {manifest.model}`."
        )


def _check_size(evidence: Evidence) -> None:
    """ZenML leaves out, with a warning alone, metadata that does not fit into its database."""
    parts: dict[str, Any] = {
        **evidence.metadata,
        "the rest of the evidence": evidence.model_dump(mode="json", exclude={"metadata"}),
    }
    if large := [name for name, value in parts.items() if len(json.dumps(value)) > TEXT_FIELD_MAX_LENGTH // 2]:
        raise BundleRefusedError(f"{large} of the bundle is larger than ZenML's metadata can hold.")
