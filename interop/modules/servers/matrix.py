"""Synapse (PyPI matrix-synapse) as a Matrix homeserver on loopback, on SQLite, federating with nobody.

python3 servers/matrix.py          starts one, prints where it is
"""

import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import secrets
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[2])]
import install
from upstreams import free_port, http_status, process, wait_until

VERSION = "1.163.2"
ANSWER_SECONDS = 30
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(cache):
    return install.venv(cache, "modules-matrix", f"matrix-synapse=={VERSION}")


class Homeserver:
    def __init__(self, url, shared_secret, database):
        self.url, self.shared_secret, self.database = url, shared_secret, database

    def ask(self, method, path, token=None, body=None):
        """The JSON of the answer; an error raises with the server's words."""
        request = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("content-type", "application/json")
        if token:
            request.add_header("authorization", f"Bearer {token}")
        try:
            with NO_PROXY.open(request, timeout=ANSWER_SECONDS) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:300]}") from error

    def register(self, name, admin=False):
        """(user id, access token) of a new user."""
        nonce = self.ask("GET", "/_synapse/admin/v1/register")["nonce"]
        password = secrets.token_hex(16)
        said = b"\0".join([nonce.encode(), name.encode(), password.encode(), b"admin" if admin else b"notadmin"])
        mac = hmac.new(self.shared_secret.encode(), said, hashlib.sha1).hexdigest()
        body = {"nonce": nonce, "username": name, "password": password, "admin": admin, "mac": mac}
        made = self.ask("POST", "/_synapse/admin/v1/register", body=body)
        return made["user_id"], made["access_token"]

    def room(self, token, **settings):
        return self.ask("POST", "/_matrix/client/v3/createRoom", token, {"preset": "private_chat", **settings})["room_id"]

    def messages(self, token, room):
        """The messages of a room, oldest first, as whole events."""
        path = f"/_matrix/client/v3/rooms/{urllib.parse.quote(room, safe='')}/messages?dir=f&limit=500"
        return [event for event in self.ask("GET", path, token)["chunk"] if event["type"] == "m.room.message"]

    def limit(self, admin_token, user, per_second, burst):
        """Messages a second for one user; 0 and 0 is no limit."""
        path = f"/_synapse/admin/v1/users/{urllib.parse.quote(user, safe='')}/override_ratelimit"
        self.ask("POST", path, admin_token, {"messages_per_second": per_second, "burst_count": burst})


def config(work, port, shared_secret):
    return {
        "server_name": "matrix.test",
        "report_stats": False,
        "pid_file": str(work / "pid"),
        "signing_key_path": str(work / "signing.key"),
        "listeners": [{"port": port, "type": "http", "bind_addresses": ["127.0.0.1"], "resources": [{"names": ["client"]}]}],
        "database": {"name": "sqlite3", "args": {"database": str(work / "homeserver.db")}},
        "media_store_path": str(work / "media"),
        "log_config": str(work / "log.yaml"),
        "registration_shared_secret": shared_secret,
        "macaroon_secret_key": secrets.token_hex(32),
        "form_secret": secrets.token_hex(32),
        "trusted_key_servers": [],
        "federation_domain_whitelist": [],
    }


@contextlib.contextmanager
def started(cache, work):
    python = fetch(cache) / "python"
    port, shared_secret = free_port(), secrets.token_hex(32)
    logging = {"version": 1, "handlers": {"out": {"class": "logging.StreamHandler"}}, "root": {"level": "WARNING", "handlers": ["out"]}}
    work.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    (work / "log.yaml").write_text(json.dumps(logging))
    (work / "homeserver.yaml").write_text(json.dumps(config(work, port, shared_secret)))
    env = {"PATH": os.environ["PATH"], "HOME": str(work)}
    command = [python, "-m", "synapse.app.homeserver", "--config-path", work / "homeserver.yaml"]
    install.run(*command, "--generate-keys", env=env, cwd=work)
    log = work / "synapse.log"
    with process(command, log, env, work) as child:
        wait_until(lambda: http_status(port, "/_matrix/client/versions") == 200, child, "synapse", log)
        yield Homeserver(f"http://127.0.0.1:{port}", shared_secret, work / "homeserver.db")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, started(install.default_cache(), pathlib.Path(folder)) as running:
        print(running.url, running.register("admin", admin=True), flush=True)
        sys.stdin.read()
