"""A version travels from one ZenML store to another; every byte that was changed on the way is a refusal."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from labs.dying import die_after
from labs.two_stores import PACKAGES, SIGNER, export_elsewhere, make_key, rules_for
from labs.version_bench import FLOOR, make, stages
from zenml import Model, pipeline
from zenml.client import Client
from zenml.zen_stores.sql_zen_store import SqlZenStore

from zenml_airflow.client.api import read_local
from zenml_airflow.client.candidates import CandidateCondition
from zenml_airflow.client.conditions import Outcome, judge
from zenml_airflow.contracts.origins import origin_of
from zenml_mlops.audit import AUDIT_LOG_ENV, open_log, verify
from zenml_mlops.audit.entries import parse_entry
from zenml_mlops.audit.heads import remembered_heads
from zenml_mlops.audit.log import FileLog
from zenml_mlops.bundles import (
    AlreadyImportedError,
    BundleRefusedError,
    TamperedError,
    UnknownSignerError,
    export_bundle,
    import_bundle,
)
from zenml_mlops.bundles.archive import open_archive
from zenml_mlops.gates.steps import quality_gate
from zenml_mlops.promotion import (
    PromotionRefusedError,
    decide,
    history,
    latest_candidate,
    preview_promotion,
    promote,
    rollback,
)
from zenml_mlops.promotion.overview import imports, version_rows

pytestmark = [pytest.mark.trained, pytest.mark.timeout(1800)]
WHY = "Because the test asks for it."


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    release, stranger = make_key(folder, "release"), make_key(folder, "stranger")
    return {"release": release, "stranger": stranger}


@pytest.fixture(scope="module")
def source(tmp_path_factory, keys):
    """What the other server exported, and said."""
    folder = tmp_path_factory.mktemp("source")
    key, good = str(keys["release"]), [True, False, True]
    out = {
        name: str(folder / name)
        for name in ("plain", "approved", "again", "unsigned", "stranger", "third", "rest")
    }
    jobs = [
        {"model": "risk", "good": good, "version": 1, "folder": out["plain"], "key": key},
        {"model": "risk", "version": 1, "folder": out["again"], "key": key},
        {"model": "risk", "version": 1, "folder": out["again"], "key": key},
        {"model": "risk", "version": 1, "folder": out["unsigned"], "approve": "user:anna", "promote": "staging"},
        {"model": "risk", "version": 1, "folder": out["approved"], "key": key},
        {"model": "risk", "version": 1, "folder": out["stranger"], "key": str(keys["stranger"])},
        {"model": "risk", "version": 2, "folder": out["rest"]},
        {"model": "risk", "version": 1, "folder": f"{out['plain']}/../plain.tar", "key": key},
        {"model": "risk", "version": 1, "folder": f"{out['plain']}/../plain.tar"},
        {"model": "risk", "version": 3, "folder": out["third"], "key": key},
        {"model": "spoilt", "good": [True], "version": 1, "withdraw": True, "folder": out["rest"]},
        {
            "model": "judged",
            "good": [True],
            "version": 1,
            "reject": "user:anna",
            "folder": out["rest"],
            "key": key,
        },
    ]
    said = export_elsewhere(folder / "store", jobs)
    return {
        "said": said,
        "folder": folder,
        "bundle": {n: next(Path(p).glob("*.tar"), None) for n, p in out.items()},
    }


@pytest.fixture(autouse=True)
def log(tmp_path, monkeypatch):
    location = str(tmp_path / "log.jsonl")
    monkeypatch.setenv(AUDIT_LOG_ENV, location)
    yield open_log(location)
    forget_imported()


def forget_imported():
    client = Client()
    for model in client.list_models():
        if model.name not in ("risk", "judged"):
            continue
        for version in client.list_model_versions(model=model.id):
            for artifact in client.list_artifact_versions(model_version_id=version.id):
                if artifact.uri.find("/imported/") > 0:
                    client.zen_store.delete_artifact_version(artifact.id)
        client.delete_model(model.name)


@pytest.fixture
def rules(keys):
    return rules_for(keys["release"], "risk", "judged")


def entries(log):
    return list(map(parse_entry, (line[:-1] for line in log.lines())))


def nothing_here():
    return not [model for model in Client().list_models() if model.name == "risk"]


def test_an_export_can_be_repeated_and_is_recorded_once(source):
    first, second, third = source["said"][:3]
    assert first["bundle"] == second["bundle"]
    assert Path(first["location"]).read_bytes() == Path(second["location"]).read_bytes()
    assert (first["changed"], second["changed"], third["changed"]) == (True, True, False)
    assert source["said"][7]["location"].endswith("/plain.tar")
    assert "exists with other content" in source["said"][8]["error"]
    log = open_log(str(source["folder"] / "store" / "log.jsonl"))
    exports = [e for e in entries(log) if e.action == "export" and e.links.get("bundle") == first["bundle"]]
    assert [e.links["location"] for e in exports] == [first["location"], second["location"]]
    assert exports[0].links["zenml_run"] == first["run"]
    assert verify(log.lines()).whole


def test_what_failed_its_gates_or_was_withdrawn_does_not_leave(source):
    assert "bundle-gates (bundle:risk/2)" in source["said"][6]["error"]
    assert "['floor'] failed" in source["said"][6]["error"]
    assert "was withdrawn by user:" in source["said"][10]["error"]
    assert source["said"][3]["warnings"] == ["bundle-signature (dry_run): it is not signed"]


def test_an_imported_version_leads_back_to_the_run_that_trained_it_and_is_promoted(source, rules, log):
    done = import_bundle(str(source["bundle"]["approved"]), rules, reason=WHY)
    assert (done.model, done.version, done.warnings) == ("risk", 1, ())
    version = Client().get_model_version("risk", 1)
    origin = origin_of(version.run_metadata)
    assert str(origin.run.id) == source["said"][0]["run"]
    assert str(origin.hops[0].server.id) == source["said"][0]["server"]
    assert (origin.run.status, origin.run.gates, origin.run.pipeline) == ("completed", {"floor": True}, "gated")
    assert origin.signer == SIGNER
    assert [(link.kind, link.stage, link.state) for link in origin.last.chain] == [("promote", "staging", "done")]
    (row,) = version_rows("risk")
    assert (row["gates"], row["decision"]) == ("passed", f"approved by user:anna on {origin.last.server}")
    assert row["run"] == origin.run.name
    assert row["origin"]["hops"][-1]["signer"] == SIGNER
    assert latest_candidate("risk") == 1
    loaded = version.get_artifact("model").load()
    assert type(loaded).__name__ == "StandardScaler"
    result = promote("risk", 1, reason=WHY)
    assert result.changed
    plan = history("risk")[-1].plan
    assert plan.links["source_run"] == source["said"][0]["run"]
    assert plan.links["signer"] == SIGNER
    assert plan.approval.by == "user:anna"
    assert "source_server" in plan.approval.links
    (imported,) = [e for e in entries(log) if e.action == "import"]
    assert (imported.outcome.value, imported.subject) == ("done", "model_version:risk/1")
    assert imported.links["bundle"] == done.bundle
    assert imported.reason == WHY
    heads = {name: head for name, head in remembered_heads().items() if "risk" in name}
    assert verify(log.lines(), heads).whole


def test_a_bundle_is_let_in_once(source, rules, log):
    import_bundle(str(source["bundle"]["plain"]), rules)
    # The same version with later decisions is the same version.
    for name in ("plain", "approved"):
        with pytest.raises(AlreadyImportedError, match=r"was imported by user:.* and is version 1 here"):
            import_bundle(str(source["bundle"][name]), rules)
    assert [e.outcome.value for e in entries(log)] == ["done", "refused", "refused"]
    assert list(stages("risk")) == [1]


def test_every_changed_byte_is_found_before_anything_is_touched(source, rules, tmp_path):
    content = source["bundle"]["plain"].read_bytes()
    broken = tmp_path / "broken.tar"
    with open_archive(source["bundle"]["plain"]) as archive:
        signature = content.index(archive.signature)
        sealed = range(signature - 512, signature + len(archive.signature))
    for place in range(0, len(content), 127):
        if place in sealed:
            # What a signature is worth is told by the tests of signers.
            continue
        changed = bytearray(content)
        changed[place] ^= 0x20
        broken.write_bytes(changed)
        with pytest.raises(TamperedError):
            import_bundle(str(broken), rules, dry_run=True)
    for cut in (1, 512, 5000, len(content) - 100):
        broken.write_bytes(content[:-cut])
        with pytest.raises(TamperedError):
            import_bundle(str(broken), rules, dry_run=True)
    for added in (b"x", bytes(512), content):
        broken.write_bytes(content + added)
        with pytest.raises(TamperedError, match="added to"):
            import_bundle(str(broken), rules, dry_run=True)
    assert nothing_here()


def repacked(source, tmp_path, change, name="plain"):
    """A bundle that is written anew with another manifest or other files, and keeps the signature."""
    with open_archive(source["bundle"][name]) as archive:
        manifest, signature = json.loads(archive.content), archive.signature
        files = {file.path: archive.read(file.path) for file in archive.manifest.files}
    manifest, files, signature = change(manifest, files, signature) or (manifest, files, signature)
    return write_by_hand(tmp_path / "repacked.tar", manifest, files, signature)


def write_by_hand(target, manifest, files, signature):
    from zenml_mlops.audit.entries import canonical
    from zenml_mlops.bundles import archive

    with target.open("wb") as out:
        archive._add(out, "manifest.json", canonical(manifest))
        if signature is not None:
            archive._add(out, "manifest.json.sig", signature)
        for path, content in files.items():
            archive._add(out, path, content)
        out.write(archive._end(out.tell()))
    return target


def listed(path, content):
    import hashlib

    return {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def relist(manifest, files):
    manifest["files"] = [listed(path, files[path]) for path in sorted(files)]


def another_file(manifest, files, signature):
    files["artifacts/model/model.skops"] = files["artifacts/model/model.skops"][::-1]


def another_manifest(manifest, files, signature):
    another_file(manifest, files, signature)
    relist(manifest, files)


def file_too_many(manifest, files, signature):
    files["artifacts/model/zz"] = b"more"


def file_missing(manifest, files, signature):
    del files["artifacts/model/model.skops.sha256"]


def path_outside(manifest, files, signature):
    files["../../outside"] = b"x"
    manifest["files"].append(listed("../../outside", b"x"))


def another_format(manifest, files, signature):
    manifest["format"] = 2


def unknown_key(manifest, files, signature):
    manifest["note"] = "x"


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (another_file, TamperedError, r"model.skops of the bundle has sha256"),
        (another_manifest, TamperedError, "signature does not fit its manifest"),
        (file_too_many, TamperedError, "does not match its manifest at its end"),
        (file_missing, TamperedError, "does not match its manifest"),
        (path_outside, TamperedError, "no path of a file in a bundle"),
        (another_format, TamperedError, "has format 2, this version of mlops reads 1"),
        (unknown_key, TamperedError, r"manifest.json is wrong: note: Extra inputs"),
    ],
)
def test_a_bundle_that_is_written_anew_is_refused(source, rules, tmp_path, log, change, error, says):
    with pytest.raises(error, match=says):
        import_bundle(str(repacked(source, tmp_path, change)), rules)
    assert nothing_here()
    (refused,) = entries(log)
    assert (refused.action, refused.outcome.value, refused.subject) == ("import", "refused", "bundle:repacked.tar")


def cloudpickled(manifest, files, signature):
    manifest["artifacts"][0]["materializer"] = (
        "zenml.materializers.cloudpickle_materializer.CloudpickleMaterializer"
    )
    return manifest, files, None


def other_class(manifest, files, signature):
    manifest["artifacts"][0]["materializer"] = "zenml_mlops.materializers.ParquetMaterializer"
    return manifest, files, None


def foreign_type(manifest, files, signature):
    manifest["artifacts"][0]["data_type"] = "os.PathLike"
    return manifest, files, None


def pickle_inside(manifest, files, signature):
    files["artifacts/model/model.skops"] = b"cos\nsystem\n(S'true'\ntR."
    relist(manifest, files)
    return manifest, files, None


def no_model(manifest, files, signature):
    manifest["artifacts"][0]["type"] = "DataArtifact"
    return manifest, files, None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (cloudpickled, "belongs to none of the packages"),
        (other_class, "does not store skops"),
        (foreign_type, "type os.PathLike belongs to none of the packages"),
        (pickle_inside, "cannot be read as skops"),
        (no_model, "does not store plain data"),
    ],
)
def test_no_format_is_let_in_that_runs_code_when_it_is_loaded(source, rules, tmp_path, change, says):
    with pytest.raises(BundleRefusedError, match=says):
        import_bundle(str(repacked(source, tmp_path, change)), rules)
    assert nothing_here()


def test_only_who_is_allowed_may_sign(source, rules, keys, tmp_path):
    with pytest.raises(UnknownSignerError, match=r"key SHA256:\S+, which allowed does not allow"):
        import_bundle(str(source["bundle"]["stranger"]), rules)
    public = keys["release"].with_suffix(".pub").read_text().strip()
    for line in (
        f'{SIGNER} namespaces="git" {public}',
        f'{SIGNER} namespaces="mlops-bundle",valid-before="20200101" {public}',
        "# nobody",
    ):
        (tmp_path / "others").write_text(f"{line}\n")
        with pytest.raises(UnknownSignerError):
            import_bundle(
                str(source["bundle"]["plain"]), rules.model_copy(update={"allowed_signers": tmp_path / "others"})
            )
    with pytest.raises(UnknownSignerError, match="no list of allowed signers"):
        import_bundle(
            str(source["bundle"]["plain"]), rules.model_copy(update={"allowed_signers": tmp_path / "none"})
        )
    assert nothing_here()


@pytest.mark.parametrize("environment", ["production", "staging", "elsewhere"])
def test_an_unsigned_bundle_is_let_in_only_where_a_policy_says_so(source, rules, environment):
    with pytest.raises(BundleRefusedError, match=r"bundle-signature \(bundle:risk/1\): it is not signed"):
        import_bundle(str(source["bundle"]["unsigned"]), rules, environment=environment)
    assert nothing_here()


def test_what_an_unsigned_bundle_says_of_persons_does_not_count(source, rules):
    done = import_bundle(str(source["bundle"]["unsigned"]), rules, environment="local")
    assert done.warnings == ("bundle-signature (dry_run): it is not signed",)
    assert version_rows("risk")[0]["decision"] is None
    preview = preview_promotion("risk", 1, environment="production")
    assert "model-import" in preview.refusals[0]
    assert "nobody has approved it for production" in preview.refusals[0]
    assert promote("risk", 1, environment="local").changed


def test_the_policies_of_the_target_accept_the_evidence_and_may_demand_more(source, rules, monkeypatch):
    with pytest.raises(BundleRefusedError, match=r"bundle-source .* exported from environment 'local'"):
        import_bundle(str(source["bundle"]["approved"]), rules, environment="production")
    import_bundle(str(source["bundle"]["approved"]), rules, environment="local")
    refused = preview_promotion("risk", 1, environment="production").refusals[0]
    # Signature, gates and the approval of the other server hold; the sample has no card, commit and environment.
    for policy in ("model-import", "model-gates", "model-approval"):
        assert f"- {policy} " not in refused
    assert "- model-card " in refused
    demanding(monkeypatch, "model-import", {"signed": True, "local_gates": ["floor"]})
    demanding(monkeypatch, "model-approval", {"stages": ["production"], "imported": False})
    refused = preview_promotion("risk", 1, environment="production").refusals[0]
    assert "the gates ['floor'] of this server have not evaluated it" in refused
    assert "user:anna approved it for production on another server, and nobody has on this one" in refused
    decide("risk", 1, approved=True, reason=WHY, actor="user:bert")
    judge_here(0.8)
    refused = preview_promotion("risk", 1, environment="production").refusals[0]
    assert "- model-import " not in refused
    assert "- model-approval " not in refused
    judge_here(0.5)
    assert "the gates ['floor'] of this server failed" in preview_promotion("risk", 1).refusals[0]


def demanding(monkeypatch, policy, parameters):
    from zenml_mlops.policy import engine

    changed = tuple(
        p.model_copy(update={"parameters": parameters}) if p.id == policy else p for p in engine.load_policies()
    )
    monkeypatch.setattr(engine, "load_policies", lambda: changed)
    monkeypatch.setattr("zenml_mlops.promotion.plans.load_policies", lambda: changed)


@pipeline(enable_cache=False)
def judged_here(auc: float) -> None:
    _, metrics = make(auc)
    quality_gate.with_options(model=Model(name="risk", version=1))(metrics, gate=FLOOR)


def judge_here(auc):
    import contextlib

    with contextlib.suppress(RuntimeError):
        judged_here(auc=auc)


def test_the_sensor_of_the_promotion_dag_takes_an_imported_version_for_a_candidate(source, rules):
    import_bundle(str(source["bundle"]["plain"]), rules)
    for required, outcome in ((("floor",), Outcome.MET), (("floor", "ceiling"), Outcome.FAILED)):
        condition = CandidateCondition(model="risk", version=1, stage="production", required=required)
        assert judge(condition, read_local).outcome is outcome


def test_a_rejection_travels_too(source, rules):
    bundle = next(path for path in (source["folder"] / "rest").glob("judged-*.tar"))
    import_bundle(str(bundle), rules)
    assert latest_candidate("judged") is None
    with pytest.raises(PromotionRefusedError, match="user:anna rejected it for production"):
        promote("judged", 1)


def test_a_model_that_is_not_expected_is_refused(source, rules):
    with pytest.raises(
        BundleRefusedError, match=r"holds the model 'risk', and \['other'\] is what may be imported"
    ):
        import_bundle(str(source["bundle"]["plain"]), rules.model_copy(update={"models": ("other",)}))
    assert nothing_here()


def test_a_dry_run_leaves_no_trace(source, rules, log):
    done = import_bundle(str(source["bundle"]["plain"]), rules, dry_run=True)
    assert done.version is None
    assert "is valid and would be imported" in str(done)
    with pytest.raises(BundleRefusedError, match="There is no bundle"):
        import_bundle(str(source["folder"] / "none.tar"), rules, dry_run=True)
    with pytest.raises(BundleRefusedError, match="more than the 100 of"):
        import_bundle(str(source["bundle"]["plain"]), rules.model_copy(update={"most_bytes": 100}), dry_run=True)
    assert nothing_here()
    assert entries(log) == []


def test_an_imported_version_travels_on_but_not_back(source, rules, keys, tmp_path):
    import_bundle(str(source["bundle"]["approved"]), rules)
    promote("risk", 1, "staging", reason=WHY)
    done = export_bundle("risk", 1, str(tmp_path), key=keys["release"], packages=PACKAGES)
    with open_archive(Path(done.location)) as archive:
        evidence = json.loads(archive.read("evidence.json"))
    assert str(evidence["run"]["id"]) == source["said"][0]["run"]
    assert [hop["server"]["id"] for hop in evidence["hops"]] == [source["said"][0]["server"]]
    with pytest.raises(BundleRefusedError, match="comes from this server"):
        import_bundle(done.location, rules)


def test_a_rollback_brings_an_imported_version_back(source, rules):
    import_bundle(str(source["bundle"]["plain"]), rules)
    promote("risk", 1)
    import_bundle(str(source["bundle"]["third"]), rules)
    promote("risk", 2)
    assert rollback("risk").version == 1
    assert history("risk")[-1].plan.links["source_run"] == source["said"][0]["run"]


EFFECTS = (
    (
        SqlZenStore,
        (
            "create_model",
            "create_tag",
            "create_model_version",
            "create_artifact_version",
            "create_model_version_artifact_link",
            "create_run_metadata",
            "delete_tag",
        ),
    ),
    (FileLog, ("append",)),
)
"""Every write of an import that others can see."""


def test_killed_after_any_single_write_the_next_import_finishes_and_nothing_is_there_twice(
    source, rules, log, monkeypatch
):
    bundle, died, unfinished = str(source["bundle"]["plain"]), 0, 0
    for count in range(1, 20):
        if not die_after(count, lambda: import_bundle(bundle, rules), EFFECTS):
            break
        died += 1
        finished = not nothing_here() and any(imports("risk"))
        with monkeypatch.context() as patch:
            # The lock of the dead process counts as left behind.
            patch.setattr("zenml_mlops.promotion.lock.LEASE", timedelta(0))
            if not finished and stages("risk"):
                unfinished += 1
                with pytest.raises(PromotionRefusedError):
                    promote("risk", 1)
                assert latest_candidate("risk") is None
                assert version_rows("risk")[0]["from"] == "an import that is not finished"
            if finished:
                with pytest.raises(AlreadyImportedError):
                    import_bundle(bundle, rules)
            else:
                assert import_bundle(bundle, rules).version == 1
            assert promote("risk", 1).changed
        assert list(stages("risk")) == [1]
        version = Client().get_model_version("risk", 1)
        assert len(Client().list_artifact_versions(model_version_id=version.id)) == 1
        done = [
            e for e in entries(log) if e.action == "import" and e.links.get("model_version") == str(version.id)
        ]
        assert [e.outcome.value for e in done][:1] == ["done"]
        assert len(done) == 1
        forget_imported()
    assert (died, unfinished) == (9, 5)
    assert verify(log.lines()).whole


def test_bundles_lie_in_any_store(source, rules):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bundles/one.tar", source["bundle"]["plain"].read_bytes())
    import_bundle("memory://bundles/one.tar", rules)
    done = export_bundle("risk", 1, "memory://out", packages=PACKAGES, environment="local")
    assert memory.exists(done.location)
    assert not export_bundle("risk", 1, "memory://out", packages=PACKAGES, environment="local").changed
    memory.rm("/bundles", recursive=True)
    memory.rm("/out", recursive=True)
