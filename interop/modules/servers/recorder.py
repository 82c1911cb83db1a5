"""An HTTP server that keeps every header and byte it receives; stands in for what no registry has a package of.

python3 servers/recorder.py        starts one, prints every request
"""

import collections
import contextlib
import http.server
import json
import ssl
import sys
import threading
import urllib.parse

# `headers` are the pairs as they came, in order; `target` is the request target as it came.
Request = collections.namedtuple("Request", "method target headers body")
BODY_MAX = 64 << 20


class Recorder:
    def __init__(self, port, scheme):
        self.port, self.requests, self.url = port, [], f"{scheme}://127.0.0.1:{port}"

    def take(self):
        """The requests since the last time."""
        taken, self.requests[:] = list(self.requests), []
        return taken

    def one(self):
        """The only request since the last time."""
        taken = self.take()
        if len(taken) != 1:
            raise AssertionError(f"expected one request, got {[(one.method, one.target) for one in taken]}")
        return taken[0]


def header(request, name):
    """The only value of a header, or None; two of one name are an error."""
    values = [value for key, value in request.headers if key.lower() == name.lower()]
    if len(values) > 1:
        raise AssertionError(f"the header {name} came {len(values)} times")
    return values[0] if values else None


def as_json(value, status=200, **headers):
    return status, {"content-type": "application/json", **headers}, json.dumps(value).encode()


def path_of(request):
    return urllib.parse.urlsplit(request.target).path


def query_of(request):
    return urllib.parse.parse_qsl(urllib.parse.urlsplit(request.target).query, keep_blank_values=True)


@contextlib.contextmanager
def started(answer, tls=None):
    """`answer(request)` gives (status, headers, body); `tls` is (certificate, key)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self):
            length = int(self.headers.get("content-length") or 0)
            body = self.rfile.read(min(length, BODY_MAX)) if self.headers.get("transfer-encoding") is None else self.chunks()
            request = Request(self.command, self.path, [(key, value) for key, value in self.headers.items()], body)
            recorder.requests.append(request)
            try:
                status, headers, content = answer(request)
            except (AssertionError, KeyError, ValueError) as error:
                # What the server cannot make sense of.
                status, headers, content = as_json({"code": "invalid", "message": f"{type(error).__name__}: {error}"}, 400)
            self.send_response_only(status)
            for key, value in {"content-length": str(len(content)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content)

        def chunks(self):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = handle_any

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_):
            """A client that hangs up is part of the checks."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    recorder = Recorder(server.server_address[1], "https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


if __name__ == "__main__":

    def show(request):
        print(request, flush=True)
        return as_json({})

    with started(show) as running:
        print(running.url, flush=True)
        sys.stdin.read()
