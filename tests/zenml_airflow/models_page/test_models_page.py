"""The page "Models" in Airflow's own API server, on a real ZenML store and a real Airflow database."""

import json
import subprocess
import sys
import threading
from datetime import timedelta
from urllib.parse import quote

import pytest
from airflow.sdk.timezone import utcnow
from models_lab import MODEL, OTHER, PIPELINE, PROMOTION, SCORING, describe, gates

from benchmarks.models_page import insert_versions
from zenml_airflow.client.cached import BackgroundCache

pytestmark = pytest.mark.airflow

RUN = "manual__2026-01-05T00:00:00+00:00"
HOSTILE = "<script>alert(1)</script>"
PAGE, JSON = "/zenml-models/", "/zenml-models/api/models"


def board(api, login):
    answer = api.get(JSON, headers=login())
    assert answer.status_code == 200, answer.text
    return answer.json()


def row(shown, model=MODEL):
    return next(one for one in shown["models"] if one["name"] == model)


@pytest.fixture(scope="module")
def registered(database):
    """Three versions: one in production, one that failed its gates, and the newest, which does better."""
    insert_versions(MODEL, 3)
    describe(
        MODEL,
        1,
        "production",
        gates=gates(skill=True, fair=True),
        training={
            "zenml_run_id": "0f7f4f1e-5b1c-4f59-9d15-3d1c1d0a5c11",
            "mlflow_run_id": "abc123",
            "provenance": {"commit": "0123456789abcdef"},
        },
        approvals=[
            {
                "stage": "production",
                "approved": True,
                "by": "airflow-user:eve",
                "at": "2026-01-05T00:00:00Z",
                "reason": HOSTILE,
            }
        ],
    )
    describe(MODEL, 2, "staging", gates=gates(skill=True, fair=False))
    describe(
        MODEL,
        3,
        gates=gates(skill=True, fair=True),
        comparison={"challenger": 3, "verdict": "better", "reason": "Measured."},
    )


@pytest.mark.parametrize("path", [PAGE, JSON])
def test_nobody_sees_it_without_logging_in(api, airflow, path):
    assert api.get(path).status_code == 401
    assert api.get(path, headers={"Authorization": "Bearer nonsense"}).status_code == 403


@pytest.mark.parametrize("path", [PAGE, JSON])
def test_a_user_without_a_role_may_not_see_it_and_a_viewer_may(api, airflow, login, path):
    assert api.get(path, headers=login(role=None)).status_code == 403
    assert api.get(path, headers=login(role="viewer")).status_code == 200


def test_it_takes_no_order(api, airflow, login):
    routes = {(path, method) for path in (PAGE, JSON) for method in ("post", "put", "patch", "delete")}
    assert {getattr(api, method)(path, headers=login("admin")).status_code for path, method in routes} == {405}


def test_it_stands_in_the_navigation(api, airflow, login):
    plugins = api.get("/api/v2/plugins", headers=login()).json()["plugins"]
    (found,) = [plugin for plugin in plugins if plugin["name"] == "zenml_models"]
    (view,) = found["external_views"]
    assert (view["name"], view["destination"], view["nav_top_level"]) == ("Models", "nav", True)
    assert api.get(f"/{view['href']}", headers=login()).status_code == 200


def test_the_stages_with_gates_and_decisions(api, airflow, login, registered):
    shown = row(board(api, login))
    production, staging, newest = (*shown["stages"].values(), shown["newest"])
    assert list(shown["stages"]) == ["production", "staging"]
    assert [one["number"] for one in (production, staging, newest)] == [1, 2, 3]
    assert production["gates"] == {"passed": True, "judged": 2, "failed": []}
    assert staging["gates"]["failed"] == [{"gate": "fair", "evidence": "fair was 1"}]
    assert not staging["gates"]["passed"]
    assert (newest["comparison"], newest["decision"]) == ("better", None)
    assert production["decision"]["by"] == "airflow-user:eve"
    assert production["commit"] == "0123456789abcdef"
    assert production["links"] == {"mlflow": "http://127.0.0.1:5000/#/runs/abc123"}


def test_the_page_shows_them_and_trusts_no_text(api, airflow, login, registered):
    answer = api.get(PAGE, headers=login())
    html, policy = answer.text, answer.headers["content-security-policy"]
    assert "<script>alert(1)" not in html
    assert "&lt;script&gt;alert(1)" in html
    assert "version 1" in html
    assert "1 of 2 gates failed" in html
    assert "compared: better" in html
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    nonce = policy.split("script-src 'nonce-")[1].split("'")[0]
    assert f'<script nonce="{nonce}">' in html
    assert nonce not in api.get(PAGE, headers=login()).text
    assert answer.headers["cache-control"] == "no-store"


def test_each_day_is_scored_running_failed_or_missing(api, airflow, login, yesterday):
    days = [yesterday - timedelta(days=back) for back in range(5)]
    airflow.dag(SCORING, PIPELINE, paused=True)
    airflow.dag(OTHER)
    airflow.run(SCORING, "a", "failed", day=days[0])
    # By hand: for the day in its param, and for the day on which it was due.
    airflow.run(SCORING, "b", "success", due=utcnow(), conf={"date": str(days[1])})
    airflow.run(SCORING, "c", "failed", due=utcnow() - timedelta(days=2), conf={"date": "nonsense"})
    airflow.run(SCORING, "d", "running", day=days[3])
    # A day that was scored stays scored when somebody tries again and fails.
    airflow.run(SCORING, "e", "success", day=days[4])
    airflow.run(SCORING, "f", "failed", due=utcnow(), conf={"date": str(days[4])})
    airflow.run(OTHER, "a", "success", day=days[0])
    (shown,) = row(board(api, login))["partitions"]
    assert shown["dags"] == [{"dag_id": SCORING, "paused": True}]
    assert len(shown["days"]) == 30
    last = {one["day"]: (one["state"], one["run"] and one["run"]["run_id"]) for one in shown["days"][-5:]}
    assert last == {
        str(days[0]): ("failed", "a"),
        str(days[1]): ("scored", "b"),
        str(days[2]): ("missing", None) if days[2] != (utcnow() - timedelta(days=2)).date() else ("failed", "c"),
        str(days[3]): ("running", "d"),
        str(days[4]): ("scored", "e"),
    }
    assert {one["state"] for one in shown["days"][:-5]} == {"missing"}
    html = api.get(PAGE, headers=login()).text
    assert "paused" in html
    assert f'href="../dags/{SCORING}/runs/b"' in html


def test_a_stale_dag_is_no_dag(api, airflow, login, yesterday):
    airflow.dag(SCORING, PIPELINE, stale=True)
    airflow.run(SCORING, "a", "success", day=yesterday)
    (shown,) = row(board(api, login))["partitions"]
    assert shown == {"pipeline": PIPELINE, "dags": [], "days": []}
    assert "no DAG that you can see" in api.get(PAGE, headers=login()).text


def test_an_approval_waits_with_its_link_and_an_answered_one_does_not(api, airflow, login):
    airflow.dag(PROMOTION)
    for run_id in (RUN, "answered", "skipped", "else"):
        airflow.run(PROMOTION, run_id, "running", due=utcnow())
    airflow.approval(PROMOTION, RUN, f"Promote {MODEL} version 3 to production?", assigned=["ann", "bob"])
    airflow.approval(PROMOTION, "answered", f"Promote {MODEL} version 2 to production?", answered=True)
    airflow.approval(PROMOTION, "skipped", f"Promote {MODEL} version 2 to staging?", state="skipped")
    airflow.approval(PROMOTION, "else", "Permission the cake be cut?")
    (found,) = row(board(api, login))["approvals"]
    assert (found["version"], found["stage"], found["asked"]) == (3, "production", ["ann", "bob"])
    html = api.get(PAGE, headers=login()).text
    address = f"../dags/{PROMOTION}/runs/{quote(RUN, safe='')}/tasks/approval/required_actions"
    assert f'href="{address}"' in html


def test_what_the_user_may_not_read_in_airflow_is_not_here_either(api, airflow, login, yesterday, monkeypatch):
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity

    airflow.dag(SCORING, PIPELINE)
    airflow.dag(OTHER, PIPELINE)
    airflow.dag(PROMOTION)
    airflow.run(SCORING, "mine", "success", day=yesterday)
    airflow.run(OTHER, "theirs", "failed", day=yesterday - timedelta(days=1))
    airflow.run(PROMOTION, "theirs", "running", due=utcnow())
    airflow.approval(PROMOTION, "theirs", f"Promote {MODEL} version 3 to production?")
    seen = row(board(api, login))
    assert len(seen["approvals"]) == 1
    assert len(seen["partitions"][0]["dags"]) == 2

    def only_runs_of_one_dag(*, method, user, access_entity=None, details=None):
        return (method, access_entity, details.id) == ("GET", DagAccessEntity.RUN, SCORING)

    monkeypatch.setattr(get_auth_manager(), "is_authorized_dag", only_runs_of_one_dag)
    seen = row(board(api, login))
    assert seen["approvals"] == []
    assert seen["partitions"][0]["dags"] == [{"dag_id": SCORING, "paused": False}]
    assert [one["state"] for one in seen["partitions"][0]["days"][-2:]] == ["missing", "scored"]


def test_without_zenml_it_says_so_and_shows_what_airflow_knows(
    api, airflow, login, yesterday, configured, unreachable
):
    conn_id, secret = unreachable
    configured(connection=conn_id)
    airflow.dag(SCORING, PIPELINE)
    airflow.run(SCORING, "a", "success", day=yesterday)
    shown = board(api, login)
    assert "http://127.0.0.1:9 does not answer" in shown["zenml"]["problem"]
    assert shown["zenml"]["read_at"] is None
    assert row(shown)["partitions"][0]["days"][-1]["state"] == "scored"
    assert row(shown)["newest"] is None
    html = api.get(PAGE, headers=login()).text
    assert "http://127.0.0.1:9 does not answer" in html
    assert "what comes from Airflow is current" in html
    assert secret not in html + json.dumps(shown)


def test_a_zenml_that_takes_its_time_is_not_waited_for(
    api, airflow, login, yesterday, configured, monkeypatch, registered
):
    from zenml_airflow.models_page import page as models_page

    go = threading.Event()

    def read_slowly():
        assert go.wait(60)
        return models_page._read_registry()

    cache = BackgroundCache(read_slowly, fresh_seconds=0)
    monkeypatch.setattr(models_page, "registry", lambda: cache)
    configured(page={"patience_seconds": 0.1})
    airflow.dag(SCORING, PIPELINE)
    airflow.run(SCORING, "a", "success", day=yesterday)
    html = api.get(PAGE, headers=login()).text
    assert "Reading ZenML" in html
    assert '<meta http-equiv="refresh"' in html
    assert f'title="{yesterday}: scored"' in html
    go.set()
    assert cache.get(60).value
    configured(page={"patience_seconds": 5})
    html = api.get(PAGE, headers=login()).text
    assert "Reading ZenML" not in html
    assert '<meta http-equiv="refresh"' not in html
    assert "version 3" in html


def test_when_zenml_goes_away_the_last_versions_stay(api, airflow, login, registered, configured, unreachable):
    assert row(board(api, login))["newest"]["number"] == 3
    configured(connection=unreachable[0])
    shown = board(api, login)
    assert shown["zenml"]["problem"]
    assert row(shown)["newest"]["number"] == 3
    assert "as of then" in api.get(PAGE, headers=login()).text


def test_a_connection_that_is_not_there_is_named(api, airflow, login, configured):
    configured(connection="zenml_never_made")
    assert "'zenml_never_made'" in board(api, login)["zenml"]["problem"]


def test_airflow_lists_the_plugin_and_other_components_do_not_build_the_page():
    """`airflow plugins` in a process of its own; what a worker loads of it holds no web framework."""
    code = (
        "import sys, json\n"
        "from airflow import plugins_manager\n"
        "plugins_manager.ensure_plugins_loaded()\n"
        "names = [plugin.name for plugin in plugins_manager._get_plugins()[0]]\n"
        "heavy = [one for one in ('zenml', 'pandas', 'zenml_airflow.models_page.page') if one in sys.modules]\n"
        "apps, _ = plugins_manager.get_fastapi_plugins()\n"
        "built = [name for name in ('zenml', 'pandas', 'sklearn', 'mlflow') if name in sys.modules]\n"
        "print(json.dumps([names, heavy, [app['url_prefix'] for app in apps], built]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    names, heavy, prefixes, built = json.loads(result.stdout.strip().splitlines()[-1])
    assert "zenml_models" in names
    assert heavy == []
    assert "/zenml-models" in prefixes
    assert built == []
