"""`bailiwick serve` with one open endpoint in front of one server, which has the name `fixture`."""
import contextlib
import json
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from upstreams import free_port, http_status, process, wait_until

SERVER = "fixture"


def write_config(work, port, upstream):
    """`auth: none` lets every caller on loopback act as the one agent of the one manifest; JSON is YAML."""
    config = {
        "listen": f"127.0.0.1:{port}", "auth": "none", "state_dir": str(work / "state"), "manifests": [str(work / "conformance.yml")],
        "log": {"filter": "info"},
        "shutdown": {"ready_delay_seconds": 0, "drain_seconds": 1},
        "servers": {SERVER: {"url": upstream, "trust": "first_party", "allow_private": ["127.0.0.1/32", "::1/128"]}},
    }
    manifest = {"agent_type": "conformance", "description": "Everything the server has.", "servers": {SERVER: {}}}
    (work / "bailiwick.yml").write_text(json.dumps(config, indent=1))
    (work / "conformance.yml").write_text(json.dumps(manifest, indent=1))
    return work / "bailiwick.yml"


@contextlib.contextmanager
def gateway(program, upstream, work):
    """Gives the URL of the endpoint that shows the server under its own names."""
    port, log = free_port(), work / "bailiwick.log"
    config = write_config(work, port, upstream)
    env = {"PATH": os.environ["PATH"], "HOME": str(work)}
    with process([program, "serve", "--config", config], log, env, work) as child:
        wait_until(lambda: http_status(port, "/readyz") == 200, child, "bailiwick serve", log)
        yield f"http://127.0.0.1:{port}/mcp/servers/{SERVER}"
