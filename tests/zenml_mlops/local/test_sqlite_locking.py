"""What the local services do to SQLite, next to what happens without it."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI

from zenml_mlops.local.sqlite_locking import CONNECT_ARGS, OneWriterAtATime

PLAY = """
import sqlite3, sys
from sqlalchemy import create_engine, text
if sys.argv[2] == "together":
    from zenml_mlops.local.sqlite_locking import hold_transactions_together
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


@pytest.mark.parametrize("arguments", [CONNECT_ARGS, {}], ids=["airflow", "stock"])
def test_an_unfinished_read_keeps_nobody_from_committing(tmp_path, arguments):
    """The stock connection shows that the test can fail."""

    def connect():
        return sqlite3.connect(tmp_path / "airflow.db", **{**arguments, "timeout": 0})

    reader, writer = connect(), connect()
    writer.execute("create table run (id integer)")
    writer.executemany("insert into run values (?)", [(number,) for number in range(3)])
    writer.commit()
    rows = reader.execute("select id from run order by id")
    assert rows.fetchone() == (0,)
    writer.execute("insert into run values (3)")
    if arguments:
        writer.commit()
    else:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.commit()
    assert rows.fetchall() == [(1,), (2,)]
    reader.close()
    writer.close()


def play_two_writers(path, wrapped):
    """As in Airflow: a request writes in a thread and commits after the event loop has seen it, and another one
    writes in the event loop. Returns their status codes."""
    app = FastAPI()
    written = threading.Event()

    def write(connection):
        connection.execute("insert into log values (1)")

    def session():
        connection = sqlite3.connect(path, timeout=1, check_same_thread=False)
        yield connection
        connection.commit()
        connection.close()

    @app.post("/task")
    def task(connection: Annotated[sqlite3.Connection, Depends(session, scope="function")]):
        write(connection)
        written.set()
        # The event loop takes up the other request before this one's end.
        time.sleep(0.2)

    @app.post("/logged")
    async def logged():
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            write(connection)
            connection.commit()

    async def both():
        transport = httpx.ASGITransport(OneWriterAtATime(app) if wrapped else app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            first = asyncio.create_task(client.post("/task"))
            await asyncio.to_thread(written.wait, 10)
            second = await client.post("/logged")
            return [(await first).status_code, second.status_code]

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table log (id integer)")
    return asyncio.run(both())


def test_the_event_loop_waits_for_no_lock_of_its_own(tmp_path):
    assert play_two_writers(tmp_path / "wrapped.db", wrapped=True) == [200, 200]
    assert play_two_writers(tmp_path / "stock.db", wrapped=False) == [200, 500]
