"""An HTTP server on loopback that writes down what an API client sends, and answers as it is told."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Recorder:
    """What was sent: a list of (method, path, body)."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = []
        self.url = ""

    def bodies(self, method, ending):
        return [
            body for verb, path, body in self.requests if verb == method and path.split("?")[0].endswith(ending)
        ]

    def answer(self, method, path):
        for (verb, part), (status, content) in self.answers.items():
            if verb == method and part in path:
                return status, content
        return 404, {"kind": "Status", "status": "Failure", "message": "not here", "code": 404}


@contextmanager
def recording(answers):
    recorder = Recorder(answers)

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self):
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length)
            recorder.requests.append((self.command, self.path, json.loads(raw) if raw else None))
            status, content = recorder.answer(self.command, self.path)
            payload = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = do_PATCH = handle_one

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    recorder.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
