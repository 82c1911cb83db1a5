"""`bailiwick serve` in front of one server, which has the name `fixture`: open and configured, or with keys and registered later."""
import contextlib
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from upstreams import free_port, http_status, process, wait_until

SERVER = "fixture"
COMMAND_SECONDS = 60
# The suite knows this client id metadata document by its address, and nobody fetches it.
CLIENT_METADATA = {"auth/basic-cimd": "https://conformance-test.local/client-metadata.json"}


def write_config(work, port, more):
    """JSON is YAML."""
    config = {
        "listen": f"127.0.0.1:{port}", "state_dir": str(work / "state"), "manifests": [str(work / "conformance.yml")],
        "log": {"filter": "info"},
        "shutdown": {"ready_delay_seconds": 0, "drain_seconds": 1},
        **more,
    }
    manifest = {"agent_type": "conformance", "description": "Everything the server has.", "servers": {SERVER: {}}}
    (work / "bailiwick.yml").write_text(json.dumps(config, indent=1))
    (work / "conformance.yml").write_text(json.dumps(manifest, indent=1))
    return work / "bailiwick.yml"


def environment(work):
    return {"PATH": os.environ["PATH"], "HOME": str(work)}


@contextlib.contextmanager
def serving(program, config, port, work):
    log = work / "bailiwick.log"
    with process([program, "serve", "--config", config], log, environment(work), work) as child:
        wait_until(lambda: http_status(port, "/readyz") == 200, child, "bailiwick serve", log)
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def gateway(program, upstream, work):
    """Gives the URL of the endpoint that shows the server under its own names. `auth: none` lets every caller on loopback act as the one
    agent of the one manifest."""
    server = {"url": upstream, "trust": "first_party", "allow_private": ["127.0.0.1/32", "::1/128"]}
    port = free_port()
    config = write_config(work, port, {"auth": "none", "servers": {SERVER: server}})
    with serving(program, config, port, work) as base:
        yield f"{base}/mcp/servers/{SERVER}"


@contextlib.contextmanager
def gateway_with_people(program, scenario, work):
    """Gives the base URL, and the key of an administrator's agent, which may use the server once it is registered."""
    port = free_port()
    connections = {"allow_loopback_http": True}
    if scenario in CLIENT_METADATA:
        connections["client_metadata_url"] = CLIENT_METADATA[scenario]
    more = {"public_url": f"http://127.0.0.1:{port}", "root_key_file": str(work / "root.key"), "connections": connections}
    config = write_config(work, port, more)

    def run(*args):
        command = [program, *args, "--config", config]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=environment(work), cwd=work, timeout=COMMAND_SECONDS)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(args)}: {done.stderr.strip()}")
        return done.stdout.strip()

    run("org", "create", "acme")
    run("user", "add", "ann", "--role", "org_admin", "--org", "acme")
    key = run("key", "create", "--agent-id", "ann-01", "--agent-type", "conformance", "--user", "ann", "--org", "acme")
    with serving(program, config, port, work) as base:
        yield base, key
