import gzip
import json
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from labs import REAL_DATA
from labs.checkout import DAYS, make_checkout

_UP = []


@pytest.fixture(scope="session")
def main_job(tmp_path_factory):
    """The main job, run once for this folder; services stay up for its tests."""
    checkout = make_checkout(tmp_path_factory.mktemp("main-job") / "state")
    source = str(REAL_DATA) if REAL_DATA.is_file() else "synthetic"
    with ExitStack() as up:
        url, checkout.lineage_events = up.enter_context(lineage_received())
        transport = {"type": "http", "url": url, "endpoint": "api/v1/lineage"}
        checkout.environment["AIRFLOW__OPENLINEAGE__TRANSPORT"] = json.dumps(transport)
        up.callback(stop, checkout)
        _UP.append(up)
        result = checkout.mlops("demo", "--source", source, "--days", DAYS)
        checkout.output = result.stdout
        yield checkout


def stop(checkout):
    checkout.mlops("down")
    assert checkout.processes() == []


def pytest_runtest_teardown(item, nextitem):
    """Stop the services after the last of these tests: idle until the session ends, they slow what follows."""
    if nextitem is None or nextitem.path.parent != item.path.parent:
        while _UP:
            _UP.pop().close()


@contextmanager
def lineage_received():
    """A server that takes OpenLineage events: its address, and the events that have come."""
    events = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            payload = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                payload = gzip.decompress(payload)
            events.append((self.path, json.loads(payload)))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", events
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
