"""What is understood of a table, and which tables are refused with what advice."""

import pytest
from labs.tables import customers

from zenml_mlops.scaffold.inspection import TableError, inspect
from zenml_mlops.scaffold.proposals import proposed


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "customers.csv"
    path.write_text(customers())
    return path


def by_name(found):
    return {column.name: column for column in found.columns}


def test_types_ranges_and_what_names_rows(table):
    found = inspect(table, "churned", row_id="customer", group="household")
    columns = by_name(found)
    assert (found.row_id, found.group, found.numbered) == ("customer", "household", False)
    assert {name: column.type for name, column in columns.items() if column.feature} == {
        "plan": "text",
        "visits": "integer",
        "balance": "number",
        "age": "number",  # it has gaps, and an integer column has none
    }
    assert not columns["comment"].feature
    assert "names rows" in columns["comment"].note
    assert columns["constant"].note == "it has one value"
    assert (columns["visits"].minimum, columns["visits"].maximum) == (0, 18)
    assert not columns["age"].required
    assert set(columns["plan"].values) == {"basic", "plus", "pro"}
    assert (found.event, found.labels) in {("yes", ("no", "yes")), ("no", ("no", "yes"))}
    assert 0.6 < found.auc < 0.9


def test_rows_are_numbered_where_nothing_does(table):
    found = inspect(table, "churned", drop=["customer", "household"])
    assert (found.row_id, found.numbered, found.group) == ("row_id", True, "row_id")
    assert "customer" not in by_name(found)


def test_the_rarer_value_is_the_event_and_another_can_be_named(table):
    rarer = inspect(table, "churned", row_id="customer")
    other = inspect(table, "churned", row_id="customer", event=next(v for v in rarer.labels if v != rarer.event))
    assert rarer.event_share < 0.5
    assert rarer.event_share + other.event_share == pytest.approx(1)


def rewritten(path, change):
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join(change(head, lines)) + "\n")


@pytest.mark.parametrize(
    ("arguments", "change", "advice"),
    [
        ({"target": "left"}, None, "--target names 'left'; customers.csv has the columns"),
        ({"target": "churned", "row_id": "no"}, None, "--id names 'no'"),
        ({"target": "churned", "row_id": "household"}, None, "perhaps a --group"),
        ({"target": "churned", "row_id": "plan"}, None, "no column of integers"),
        ({"target": "churned", "event": "perhaps"}, None, "--event is 'perhaps'"),
        ({"target": "plan"}, None, "say which one with --event"),
        ({"target": "constant"}, None, "say which one with --event"),
        ({"target": "constant", "event": "x"}, None, "nothing to distinguish"),
        ({"target": "churned"}, lambda head, rows: [head, *rows[:50]], "200 are needed"),
        (
            {"target": "churned"},
            lambda head, rows: [head, *sorted(rows, key=lambda row: row.rsplit(",", 1)[1])],
            "the table is sorted by",
        ),
        (
            {"target": "churned"},
            lambda head, rows: [head.replace("balance", "risk"), *rows],
            r"\['risk'\] are columns of what is published",
        ),
        ({"target": "churned"}, lambda head, rows: ['"'], "not a comma-separated table"),
    ],
)
def test_a_table_that_cannot_serve_is_refused_with_advice(table, arguments, change, advice):
    if change is not None:
        rewritten(table, change)
    with pytest.raises(TableError, match=advice):
        inspect(table, **arguments)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TableError, match=r"There is no file .*nothing\.csv"):
        inspect(tmp_path / "nothing.csv", "churned")


def test_limits_follow_what_was_measured(table):
    found = inspect(table, "churned", row_id="customer")
    values = proposed(
        found, name="churn", title="Churn", outcome="x", owner="crm", subgroups=["plan"], label_delay=14
    )
    gates = "pipelines.training.gates"
    column, alone = found.best_column
    assert values[f"{gates}.skill.minimum"] < found.auc
    assert found.auc < values[f"{gates}.too_good_to_be_true.maximum"] <= 1
    assert alone < values[f"{gates}.no_feature_explains_all.maximum"] <= 1
    assert column in values[f"{gates}.no_feature_explains_all.why"]
    assert values["pipelines.training.data_gates.enough_rows.minimum"] < 400
    assert values["pipelines.monitoring.rules.performance.label_delay_days"] == 14
