"""The policy benchmark judges what it says; how fast is no test."""

import pytest

from benchmarks import policies
from benchmarks.report_policies import policies as section
from benchmarks.targets import judge
from zenml_mlops.policy.facts import Scope
from zenml_mlops.policy.schema import load_policies


@pytest.mark.bench
def test_it_judges_fifty_pipelines_by_every_deploy_time_policy():
    measured = policies.measure(2, quick=True, progress=lambda line: None)
    deployed = [p for p in load_policies() if p.scope in {Scope.PIPELINE, Scope.DEPLOYMENT, Scope.STACK}]
    assert measured["verdicts"] == 50 * len(deployed)
    assert all(len(seconds) == 2 and min(seconds) > 0 for seconds in measured["seconds"].values())
    assert f"{measured['verdicts']} verdicts" in section(measured)
    (verdict,) = judge({"policies": measured})
    assert "50 pipelines" in verdict.target
