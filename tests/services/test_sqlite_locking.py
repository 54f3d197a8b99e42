"""A transaction that begins with savepoints is one transaction, on a real file that another connection reads."""

import subprocess
import sys

import pytest

PLAY = """
import sqlite3, sys
from sqlalchemy import create_engine, text
if sys.argv[2] == "together":
    from mlops.sqlite_locking import hold_transactions_together
    hold_transactions_together()
engine = create_engine(f"sqlite:///{sys.argv[1]}")
with engine.begin() as connection:
    connection.execute(text("create table run (id integer)"))
other = sqlite3.connect(sys.argv[1], timeout=0)
with engine.connect() as connection, connection.begin():
    for number in range(2):
        with connection.begin_nested():
            connection.execute(text("select count(*) from run")).scalar()
            connection.execute(text(f"insert into run values ({number})"))
    print(other.execute("select count(*) from run").fetchone()[0])
print(other.execute("select count(*) from run").fetchone()[0])
"""


@pytest.mark.parametrize(("how", "seen_before_the_end"), [("together", 0), ("alone", 2)])
def test_others_see_all_of_it_or_nothing(tmp_path, how, seen_before_the_end):
    result = subprocess.run(
        [sys.executable, "-c", PLAY, str(tmp_path / "airflow.db"), how],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert [int(line) for line in result.stdout.split()] == [seen_before_the_end, 2]
