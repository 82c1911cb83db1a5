#!/usr/bin/env python3
"""A certified OpenID provider as external issuer of `bailiwick serve`, with keys that rotate while calls run. Standard library only.

    run.py --gateway PROGRAM    every check
    run.py --install            only install the provider

    --cache DIR   where it is installed (default: BAILIWICK_INTEROP_CACHE, else ~/.cache/bailiwick/interop)
    --keep DIR    where configuration and logs are kept

The provider is `oidc-provider` from npm, on loopback, on the Node.js that its lock file pins. One line for each check,
`N passed, N failed` at the end; exit code 0 only when nothing failed. Takes a little more than two minutes: the gateway asks an issuer
for unknown keys once a minute at most, and the checks wait for that.
"""
import argparse
import filecmp
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
import signin
from report import Report
from upstreams import Caller, free_port, http_status, process, wait_until

INSTALL_SECONDS = 600
ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
# Between two looks of the gateway at an issuer's keys, and a little more.
LOOK_PAUSE_SECONDS = 61
CALLERS = 4


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    node, script = install(args.cache / "oidc")
    if args.install:
        return
    report = Report()
    with tempfile.TemporaryDirectory(prefix="bailiwick-oidc-") as folder:
        try:
            check(report, args.gateway, node, script, pathlib.Path(folder))
        except Exception as error:  # an answer that a check cannot read is a failed check
            report.failed("the checks", f"{type(error).__name__}: {error}", traceback.format_exc())
        finally:
            if args.keep:
                shutil.copytree(folder, args.keep, dirs_exist_ok=True)
    sys.exit(report.close())


def arguments():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = pathlib.Path(os.environ.get("BAILIWICK_INTEROP_CACHE") or f"{home}/bailiwick/interop")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", type=os.path.abspath)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--cache", type=pathlib.Path, default=cache)
    parser.add_argument("--keep", type=pathlib.Path)
    args = parser.parse_args()
    if not args.install and not (args.gateway and os.access(args.gateway, os.X_OK)):
        parser.error("--gateway must name a program")
    return args


def install(folder):
    """Gives the paths of Node.js and of our script, which must stand beside what it imports."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, complete = "package-lock.json", folder / "complete"
    if not (complete.exists() and filecmp.cmp(HERE / lock, folder / lock, shallow=False)):
        complete.unlink(missing_ok=True)
        for name in ("package.json", lock):
            shutil.copy(HERE / name, folder)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if done.returncode != 0:
            sys.exit(f"oidc: npm ci failed\n{done.stderr[-2000:]}")
        complete.touch()
    shutil.copy(HERE / "provider.mjs", folder)
    node = folder / "node_modules/node/bin/node"
    if not node.exists():
        sys.exit(f"oidc: Node.js is missing in {folder}; its package needs its install script")
    return node, folder / "provider.mjs"


class World:
    """Provider and gateway of one run."""

    def __init__(self, program, work):
        self.program, self.work = program, work
        self.port, self.provider_port, self.control_port = free_port(), free_port(), free_port()
        self.issuer = f"http://127.0.0.1:{self.provider_port}"
        self.resource = f"http://127.0.0.1:{self.port}/mcp"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(work)}

    def publish(self, *kids):
        """The keys that the provider has from now on; the first of each algorithm signs."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.control_port}/keys", json.dumps({"publish": kids}).encode(), method="PUT")
        urllib.request.urlopen(request, timeout=signin.ANSWER_SECONDS).close()

    def machine(self, algorithm="RS256", **more):
        return signin.machine_token(self.issuer, f"app-{algorithm}", **{"resource": self.resource, **more})

    def call(self, credential):
        """Writes and reads a file as the agent of the credential; None when it works."""
        try:
            caller = Caller(self.port, credential, "modern")
            written = caller.call("filesystem_write_file", {"path": "note.txt", "content": "hello"})
            read = caller.call("filesystem_read_file", {"path": "note.txt"})
        except (AssertionError, OSError, http.client.HTTPException, ValueError) as error:
            return str(error)
        good = "result" in written and not written["result"].get("isError") and "hello" in json.dumps(read.get("result", {}))
        return None if good else f"{written} {read}"

    def refused(self, headers, path="/mcp"):
        """Status and challenge of a call with these headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=signin.ANSWER_SECONDS)
        plain = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        connection.request("POST", path, '{"jsonrpc":"2.0","id":1,"method":"ping"}', {**plain, **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("www-authenticate") or ""

    def write_config(self):
        config = {
            "listen": f"127.0.0.1:{self.port}", "state_dir": str(self.work / "state"), "manifests": [str(self.work / "agent.yml")],
            "root_key_file": str(self.work / "root.key"), "log": {"filter": "info"},
            "shutdown": {"ready_delay_seconds": 0, "drain_seconds": 1},
            "auth": {"issuers": [{
                "name": "provider", "issuer": self.issuer, "org": "acme", "subject_prefix": "provider:", "agent_type": "writer",
                "scopes_required": ["mcp:tools"],
            }]},
        }
        files = {"mode": "write", "config": {"base_path": str(self.work / "files")}}
        (self.work / "files").mkdir()
        (self.work / "bailiwick.yml").write_text(json.dumps(config, indent=1))
        (self.work / "agent.yml").write_text(json.dumps({"agent_type": "writer", "modules": {"filesystem": files}}, indent=1))
        return self.work / "bailiwick.yml"


def check(report, program, node, script, work):
    world = World(program, work)
    config = world.write_config()
    command = [node, script, world.provider_port, world.control_port, world.resource]
    with process(command, work / "provider.log", world.environment, work) as provider:
        ready = lambda: http_status(world.provider_port, "/.well-known/openid-configuration") == 200
        wait_until(ready, provider, "the provider", work / "provider.log")
        with process([program, "serve", "--config", config], work / "bailiwick.log", world.environment, work) as child:
            wait_until(lambda: http_status(world.port, "/readyz") == 200, child, "bailiwick serve", work / "bailiwick.log")
            first_look = time.monotonic()
            discovery(report, world)
            machines(report, world)
            person = people(report, world)
            strangers(report, world, person)
            beside_keys(report, world, config)
            rotation(report, world, first_look)
            outage(report, world, provider)
            silence(report, world)


def discovery(report, world):
    """The way of a client that knows nothing but the address of the endpoint."""
    status, challenge = world.refused({})
    document_url = f"http://127.0.0.1:{world.port}/.well-known/oauth-protected-resource/mcp"
    expected = f'Bearer resource_metadata="{document_url}", scope="mcp:tools"'
    report.check("401 points to the metadata", None if (status, challenge) == (401, expected) else f"{status} {challenge}")
    for name, url in (("of the endpoint", document_url), ("at the root", document_url.removesuffix("/mcp"))):
        document = signin.document(url)
        good = document["resource"] == world.resource and document["authorization_servers"] == [world.issuer]
        report.check(f"the metadata {name} names resource and issuer", None if good else str(document))
    metadata = signin.document(f"{world.issuer}/.well-known/openid-configuration")
    report.check("the issuer is who it says", None if metadata["issuer"] == world.issuer else str(metadata["issuer"]))


def machines(report, world):
    for algorithm in ALGORITHMS:
        token = world.machine(algorithm)
        header, claims = signin.parts(token)
        good = (header["alg"], header["typ"], claims["aud"], claims["client_id"]) == (algorithm, "at+jwt", world.resource, f"app-{algorithm}")
        report.check(f"{algorithm}: the provider issues what is asked for", None if good else f"{header} {claims}")
        report.check(f"{algorithm}: client credentials call tools", world.call(token))


def people(report, world):
    tokens = signin.person_tokens(world.issuer, "alice", world.resource)
    report.check("a person who signed in calls tools", world.call(tokens["access_token"]))
    again = signin.person_tokens(world.issuer, "alice", world.resource)
    report.check("and after signing in again", world.call(again["access_token"]))
    # The folders of agents of an organisation that is not the gateway's own.
    folders = {path.name for path in (world.work / "files.orgs/acme/agents").glob("provider-*")}
    wanted = len(ALGORITHMS) + 1
    report.check("one agent for each subject", None if len(folders) == wanted else f"{len(folders)} instead of {wanted}: {sorted(folders)}")
    return tokens


def strangers(report, world, person):
    """What the same provider signs for others, or for other purposes."""
    good = world.machine()
    head, claims, signature = good.split(".")
    cases = {
        "the ID token of the person": person["id_token"],
        "the refresh token of the person": person["refresh_token"],
        "an opaque access token": world.machine(resource=None),
        "a token for another resource": world.machine(resource="https://other.example.com/mcp"),
        "a token for the root of this host": world.machine(resource=f"http://127.0.0.1:{world.port}/"),
        "a token whose signature is another's": f"{head}.{claims}.{world.machine(scope='mcp:tools').split('.')[2]}",
        "a token without signature": f"{head}.{claims}.",
    }
    for name, token in cases.items():
        status, challenge = world.refused({"authorization": f"Bearer {token}"})
        fits = status == 401 and 'error="invalid_token"' in challenge and token not in challenge
        report.check(f"refused: {name}", None if fits else f"{status} {challenge}")
    poor = signin.machine_token(world.issuer, "app-poor", world.resource, "mcp:other")
    status, challenge = world.refused({"authorization": f"Bearer {poor}"})
    fits = status == 403 and 'scope="mcp:tools"' in challenge and 'error="insufficient_scope"' in challenge
    report.check("403 names the scope that is missing", None if fits else f"{status} {challenge}")
    status, _ = world.refused({}, f"/mcp?access_token={good}")
    report.check("400 for a token in the query", None if status == 400 else str(status))


def beside_keys(report, world, config):
    command = [world.program, "key", "create", "--agent-id", "keyed", "--agent-type", "writer", "--config", str(config)]
    done = subprocess.run(command, env=world.environment, capture_output=True, text=True, timeout=signin.ANSWER_SECONDS)
    key = done.stdout.split()[-1] if done.stdout.split() else ""
    report.check("an API key works beside tokens", world.call(key) if key else done.stderr)


class Calls:
    """Calls that go on until they are stopped, each with a token that was just issued."""

    def __init__(self, world):
        self.world, self.problems, self.count, self.stopped = world, [], 0, threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(ALGORITHMS[number % len(ALGORITHMS)],)) for number in range(CALLERS)]
        for thread in self.threads:
            thread.start()

    def run(self, algorithm):
        while not self.stopped.is_set():
            problem = self.world.call(self.world.machine(algorithm))
            with self.lock:
                self.count += 1
                if problem:
                    self.problems.append(f"{algorithm}: {problem}")
            self.stopped.wait(0.1)

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()
        return self.problems[0] if self.problems else None if self.count else "no call was made"


def rotation(report, world, first_look):
    """New keys are published and used at once; the old ones stay for a while and are then withdrawn."""
    olds, news = ([f"{algorithm}-{number}" for algorithm in ALGORITHMS] for number in (1, 2))
    old = world.machine()
    calls = Calls(world)
    until(first_look + LOOK_PAUSE_SECONDS)
    world.publish(*news, *olds)
    fresh = world.machine()
    report.check("the provider signs with its new key", None if signin.parts(fresh)[0]["kid"] == "RS256-2" else str(signin.parts(fresh)[0]))
    report.check("a token by the new key works at once", world.call(fresh))
    second_look = time.monotonic()
    report.check("a token by the old key still works", world.call(old))
    until(second_look + LOOK_PAUSE_SECONDS)
    world.publish(*news)
    report.check("an old token works until the gateway looks", world.call(old))
    head, claims, signature = fresh.split(".")
    unknown = signin.base64.urlsafe_b64encode(json.dumps({**signin.parts(fresh)[0], "kid": "RS256-3"}).encode()).rstrip(b"=").decode()
    status, _ = world.refused({"authorization": f"Bearer {unknown}.{claims}.{signature}"})
    report.check("a key that was never there is looked for and refused", None if status == 401 else str(status))
    status, _ = world.refused({"authorization": f"Bearer {old}"})
    report.check("then a token by the withdrawn key is refused, although its time is not over", None if status == 401 else str(status))
    report.check("tokens by the new keys go on", world.call(fresh))
    problem = calls.stop()
    report.check(f"{calls.count} calls during the rotation, none refused", problem)


def outage(report, world, provider):
    token = world.machine()
    os.killpg(provider.pid, signal.SIGKILL)
    provider.wait(10)
    report.check("without the provider, tokens by known keys work", world.call(token))


def silence(report, world):
    """No token is in the log, on the ledger or in the database."""
    marks = [b"eyJhbGciOi", b"eyJ0eXAiOi"]
    found = [str(path) for path in world.work.rglob("*") if path.is_file() and path.name != "provider.log" and any(m in path.read_bytes() for m in marks)]
    report.check("no token is in any file of the gateway", None if not found else ", ".join(found))


def until(moment):
    time.sleep(max(0, moment - time.monotonic()))


if __name__ == "__main__":
    main()
