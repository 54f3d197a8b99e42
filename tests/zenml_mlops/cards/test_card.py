"""The card as text: everything is on it, and nothing that stands in it can become markup."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pytest

from zenml_mlops.cards import render_html, render_markdown
from zenml_mlops.cards.card import CardContent, CardTexts, Decision
from zenml_mlops.cards.plots import plots
from zenml_mlops.gates.curves import POINTS, risk_curves
from zenml_mlops.gates.limits import (
    Estimate,
    GateLimits,
    Judge,
    Limit,
    Measure,
    MetricReport,
    judge,
)

HOSTILE = '<script>alert(1)</script> | [x](javascript:y) & "quoted"\nsecond line'
METRICS = MetricReport(
    rows=1234,
    positives=99,
    metrics={"roc_auc": Estimate(value=0.6512, lower=0.6101, upper=0.6903)},
    confidence=0.95,
    resamples=200,
    resampled_unit="patient",
)
LIMITS = GateLimits(
    limits={
        "skill": Limit(metric="roc_auc", judge=Judge.LOWER, minimum=0.62, why="Skill."),
        "sane": Limit(metric="roc_auc", judge=Judge.VALUE, maximum=0.75, why="Leak."),
    }
)
GROUPS = (
    Measure(
        metric="subgroup_auc_shortfall",
        subject="g=big",
        value=0.01,
        lower=-0.02,
        upper=0.05,
        evidence="900 rows",
    ),
    Measure(
        metric="subgroup_auc_shortfall",
        subject="g=small",
        value=0.2,
        evidence="9 rows",
        not_judged="9 rows: reported, not evaluated, below 500 rows",
    ),
)


@pytest.fixture(scope="module")
def content() -> CardContent:
    random = np.random.default_rng(0)
    risks = random.random(5000)
    labels = (random.random(5000) < risks / 2).astype(int)
    return CardContent(
        model="m",
        version=3,
        made_at=datetime(2026, 1, 4, 3, tzinfo=UTC),
        texts=CardTexts(
            title="A model",
            purpose=HOSTILE,
            owner="somebody",
            intended_use="With care.",
            not_for=("This.", HOSTILE),
            data="Some rows.",
            limits=("Weak.",),
        ),
        facts={"data sha256": "ab" * 32, "rows": "5"},
        threshold=0.2,
        metrics=METRICS,
        curves=risk_curves(labels, risks),
        gates=judge(METRICS, LIMITS),
        groups=GROUPS,
        decisions=(
            Decision(action="promote", by="user:<b>x</b>", at=datetime(2026, 1, 5, tzinfo=UTC), reason=HOSTILE),
        ),
    )


def test_the_page_is_well_formed_and_holds_no_foreign_markup(content):
    page = render_html(content)
    tree = ElementTree.fromstring(page.split("\n", 1)[1])
    assert tree.tag == "html"
    assert not list(tree.iter("script"))
    assert page.count("&lt;script&gt;") >= 3
    assert "user:&lt;b&gt;" in page
    # Self-contained: nothing is fetched.
    assert not re.search(r'(?:src|href)="(?!#)', page)


def test_every_metric_gate_group_and_fact_is_on_both_forms(content):
    for text in (render_html(content), render_markdown(content)):
        for part in (
            "A model",
            "version 3",
            "1 gates failed",
            "0.6512",
            "0.6101 to 0.6903",
            "200 resamples by patient",
            "skill",
            "lower of roc_auc",
            "0.6101",
            "0.62",
            "sane",
            "g=big",
            "-0.02 to 0.05",
            "g=small",
            "reported, not evaluated",
            "ab" * 32,
            "2026-01-05",
        ):
            assert part in text, part
        assert "MLflow" not in text
        assert "single_row_ms" not in text


def test_the_markdown_tables_keep_their_columns(content):
    text = render_markdown(content)
    assert "<script>" not in text
    assert not re.search(r"(?<!\\)\[x\]", text)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_the_plots_are_pictures_of_these_curves(content):
    drawn = plots(content)
    assert list(drawn) == [
        "ROC curve",
        "Precision and recall",
        "Reliability",
        "Predicted risks",
        "AUC shortfall by group",
    ]
    for svg in drawn.values():
        ElementTree.fromstring(svg)
    assert "g=big" in drawn["AUC shortfall by group"]
    assert "g=small" not in drawn["AUC shortfall by group"]
    assert plots(content) == drawn


def test_curves_are_thin_and_true():
    labels = np.array([0, 0, 1, 1] * 500)
    curves = risk_curves(labels, np.tile([0.1, 0.2, 0.8, 0.9], 500))
    assert (curves.roc.x[0], curves.roc.y[0], curves.roc.x[-1], curves.roc.y[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(curves.roc.y, curves.roc.x) == pytest.approx(1.0)
    assert curves.base_rate == 0.5
    assert sum(curves.histogram.y) == 2000
    random = np.random.default_rng(1)
    many = risk_curves(random.integers(0, 2, 9999), random.random(9999))
    assert len(many.roc.x) == len(many.precision_recall.x) == POINTS
    assert np.trapezoid(many.roc.y, many.roc.x) == pytest.approx(0.5, abs=0.02)


def test_an_undecided_version_says_so(content):
    fresh = content.model_copy(update={"decisions": ()})
    assert "nobody has approved" in render_html(fresh)
    assert "nobody has approved" in render_markdown(fresh)
