"""What the client of Airflow does where a request gets no answer, against a server that hangs up on some."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from zenml_airflow.settings.project import load_settings
from zenml_mlops.airflow_api.api import AirflowApi, AirflowApiError


class Forgetful(BaseHTTPRequestHandler):
    """Takes in runs; hangs up on the first request to start one, before or after it took it in."""

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append(body["dag_run_id"])
        first = len(server.asked) == 1
        if server.takes_first or not first:
            server.runs.add(body["dag_run_id"])
        if not first:
            self.answer(200, {"dag_run_id": body["dag_run_id"]})

    def do_GET(self):
        known = unquote(self.path.rsplit("/", 1)[-1]) in self.server.runs
        self.answer(*((200, {"state": "queued"}) if known else (404, {"detail": "none"})))

    def answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args):
        pass


@pytest.fixture
def server(monkeypatch):
    listening = ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    listening.asked, listening.runs, listening.takes_first = [], set(), False
    threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("MLOPS_AIRFLOW_URL", f"http://127.0.0.1:{listening.server_port}")
    monkeypatch.setenv("MLOPS_AIRFLOW_TOKEN", "any")
    yield listening
    listening.shutdown()
    listening.server_close()


@pytest.mark.parametrize(("takes_first", "asked"), [(True, 1), (False, 2)])
def test_a_run_is_started_once_whatever_became_of_the_first_request(server, takes_first, asked):
    server.takes_first = takes_first
    run_id = AirflowApi(load_settings("local")).trigger("dag")
    assert server.runs == {run_id}
    assert server.asked == [run_id] * asked


def test_an_airflow_that_is_gone_is_named(server):
    api = AirflowApi(load_settings("local"))
    server.shutdown()
    server.server_close()
    with pytest.raises(AirflowApiError, match=r"Airflow at http://127\.0\.0\.1:\d+ did not answer GET dags"):
        api.dags()
