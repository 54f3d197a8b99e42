"""Two versions' numbers side by side, as the comment of a pull request shows them."""

from types import SimpleNamespace

import pytest
from test_card import HOSTILE, content  # noqa: F401 - a fixture

from zenml_airflow.contracts.model_records import ComparisonVerdict
from zenml_mlops.cli.models_compare import MISSING, markdown
from zenml_mlops.gates.limits import Estimate


@pytest.fixture
def other(content):  # noqa: F811
    metrics = {
        "roc_auc": Estimate(value=0.6412, lower=0.6, upper=0.68),
        "brier|x": Estimate(value=0.1, lower=0.09, upper=0.11),
    }
    report = content.metrics.model_copy(update={"metrics": metrics})
    return content.model_copy(update={"version": 2, "metrics": report})


def rows(text):
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines() if line[:1] == "|"
    ]


def test_both_versions_stand_side_by_side(content, other):  # noqa: F811
    text = markdown(content, other, stage="production", comparison=None)
    assert text.startswith("## m version 3\n")
    assert "**1 gates failed**" in text
    head, _, first, second = rows(text)
    assert head == ["metric", "version 3", "interval", "version 2", "interval", "difference"]
    assert first == ["roc_auc", "0.6512", "0.6101 to 0.6903", "0.6412", "0.6000 to 0.6800", "+0.0100"]
    assert second == ["brier\\|x", MISSING, MISSING, "0.1000", "0.0900 to 0.1100", MISSING]


def test_without_another_version_there_is_one_column(content):  # noqa: F811
    text = markdown(content, None, stage="staging", comparison=None)
    assert "There is no other version in staging to compare it with." in text
    assert rows(text)[0] == ["metric", "version 3", "interval"]


def test_the_verdict_of_the_comparison_stands_above_and_adds_no_markup(content, other):  # noqa: F811
    comparison = SimpleNamespace(verdict=ComparisonVerdict.NOT_WORSE, reason=HOSTILE)
    text = markdown(content, other, stage="production", comparison=comparison)
    (line,) = [line for line in text.splitlines() if "Champion and challenger" in line]
    assert "**not worse**" in line
    assert "<script>" not in text
    assert "second line" in line
