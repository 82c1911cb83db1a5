#!/usr/bin/env python3
"""Checks the management API of the gateway against what its own document says. Standard library only.

    run.py --gateway PROGRAM          ten minutes
    run.py --gateway PROGRAM --minutes N

Starts `bailiwick serve` on loopback with two organisations, validates the served document (openapi-spec-validator) and compares it with
the committed one, then lets schemathesis ask with the key of an administrator: every operation, with what the document describes and with
what it does not. Afterwards the other organisation must be as it was, the ledger must verify, and no key may stand in the output.

    --seed N     repeats a run
    --keep DIR   where the gateway's files and the reports are kept

One line for each check; closes with `N passed, N failed`. Exit code 0 only when nothing failed. The Python packages are installed once, in
BAILIWICK_INTEROP_CACHE (default: ~/.cache/bailiwick/interop).
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from report import Report
from upstreams import free_port, http_status, process, wait_until

PACKAGES = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"]
INSTALL_SECONDS = 600
COMMAND_SECONDS = 60
# Beside the time that schemathesis is given: what it needs to begin and to end.
MARGIN_SECONDS = 300


def main():
    args = arguments()
    tools = install()
    report = Report()
    with contextlib.ExitStack() as stack:
        work = pathlib.Path(args.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="bailiwick-api-")))
        work.mkdir(parents=True, exist_ok=True)
        check(report, args, tools, work)
    return report.close()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", required=True, type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--keep")
    args = parser.parse_args()
    args.gateway = args.gateway.resolve()
    return args


def install():
    """The folder of the programs."""
    home = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    cache = pathlib.Path(os.environ.get("BAILIWICK_INTEROP_CACHE", f"{home}/bailiwick/interop"))
    venv, stamp = cache / "api", cache / "api" / "complete"
    if not stamp.exists() or stamp.read_text().split() != PACKAGES:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True, timeout=INSTALL_SECONDS)
        pip = [venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
        subprocess.run(pip, check=True, timeout=INSTALL_SECONDS)
        stamp.write_text("\n".join(PACKAGES))
    return venv / "bin"


class Gateway:
    """The program and its files."""

    def __init__(self, program, work):
        self.program, self.work, self.port = program, work, free_port()
        self.env = {"PATH": os.environ["PATH"], "HOME": str(work)}
        config = {
            "listen": f"127.0.0.1:{self.port}", "state_dir": str(work / "state"), "root_key_file": str(work / "root.key"),
            "manifests": [str(work / "reader.yml")], "shutdown": {"ready_delay_seconds": 0, "drain_seconds": 5},
        }
        (work / "bailiwick.yml").write_text(json.dumps(config, indent=1))
        files = {"type": "filesystem", "mode": "read", "config": {"base_path": str(work / "files")}}
        (work / "reader.yml").write_text(json.dumps({"agent_type": "reader", "modules": {"files": files}}, indent=1))

    def run(self, *args):
        command = [self.program, *args, "--config", self.work / "bailiwick.yml"]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=self.env, cwd=self.work, timeout=COMMAND_SECONDS)
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(args)}: {done.stderr.strip()}")
        return done.stdout

    def people(self):
        """An administrator and some people in each of two organisations; gives the two keys."""
        keys = []
        for org in ("acme", "beta"):
            self.run("org", "create", org)
            for sub, role in (("ann", "org_admin"), ("bob", "member")):
                self.run("user", "add", sub, "--role", role, "--org", org)
            self.run("group", "create", "data", "--name", "Data people", "--org", org)
            self.run("group", "add", "data", "bob", "--org", org)
            self.run("agent", "create", "worker", "--agent-type", "reader", "--org", org)
            self.run("agent", "create", "boss", "--agent-type", "reader", "--org", org)
            self.run("agent", "assign", "boss", "--role", "org_admin", "--org", org)
            keys.append(self.run("key", "create", "--agent-id", "boss", "--org", org).strip())
        return keys

    def lists(self, org):
        """All that an administrator may see of an organisation, but when keys were last used."""
        names = ("user", "group", "agent", "key", "secret")
        lists = {name: json.loads(self.run(name, "list", "--org", org, "-o", "json")) for name in names}
        for key in lists["key"]:
            key.pop("last_used_at")
        return lists

    def url(self, path):
        return f"http://127.0.0.1:{self.port}{path}"


def check(report, args, tools, work):
    gateway = Gateway(args.gateway, work)
    keys = gateway.people()
    log = work / "bailiwick.log"
    with process([gateway.program, "serve", "--config", work / "bailiwick.yml"], log, gateway.env, work) as child:
        wait_until(lambda: http_status(gateway.port, "/readyz") == 200, child, "bailiwick serve", log)
        document(report, gateway, tools, work)
        before = gateway.lists("beta")
        told = schemathesis(report, args, gateway, tools, keys[0])
        report.check("the other organisation is as it was", None if gateway.lists("beta") == before else "its lists have changed")
        report.check("the key still works", None if me(gateway, keys[0]) == "boss" else "it does not")
        report.check("the gateway still runs", None if child.poll() is None else f"it ended with {child.returncode}")
    report.check("the ledger verifies", outcome(lambda: gateway.run("audit", "verify")))
    secrets = [key.rsplit("_", 2)[1] for key in keys]
    said = log.read_text(errors="replace")
    report.check("no key is in the gateway's log", "one is" if any(secret in said for secret in secrets) else None)
    broken = [line for line in said.splitlines() if "request_panicked" in line or "operation_broken" in line or "panicked at" in line]
    report.check("no fault of its own is in the gateway's log", broken[0][:300] if broken else None)
    (work / "schemathesis.log").write_text(told)


def document(report, gateway, tools, work):
    with urllib.request.urlopen(gateway.url("/v1/openapi.json"), timeout=COMMAND_SECONDS) as answer:
        served = answer.read()
    path = work / "openapi.json"
    path.write_bytes(served)
    valid = subprocess.run([tools / "openapi-spec-validator", path], capture_output=True, text=True, timeout=COMMAND_SECONDS)
    report.check("the document is valid OpenAPI 3.1", None if valid.returncode == 0 else (valid.stdout + valid.stderr)[:600])
    committed = (HERE.parent.parent / "docs/reference/openapi.json").read_bytes()
    report.check("the served document is the committed one", None if served == committed else "they differ; `just reference` writes it anew")


def me(gateway, key):
    request = urllib.request.Request(gateway.url("/v1/me"), headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=COMMAND_SECONDS) as answer:
        return json.load(answer)["agent_id"]


def outcome(ask):
    try:
        ask()
    except AssertionError as problem:
        return str(problem)[:600]
    return None


def schemathesis(report, args, gateway, tools, key):
    """One check of ours for each check of its own and each operation that it finds fault with."""
    seconds = max(1, int(args.minutes * 60))
    command = [
        tools / "schemathesis", "--config-file", HERE / "schemathesis.toml", "run", gateway.url("/v1/openapi.json"),
        "--header", f"Authorization: Bearer {key}", "--max-time", str(seconds), "--continue-on-failure",
    ]
    command += ["--seed", str(args.seed)] if args.seed is not None else []
    env = {**gateway.env, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE), "NO_COLOR": "1", "COLUMNS": "200"}
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env, cwd=gateway.work, timeout=seconds + MARGIN_SECONDS)
    told = done.stdout + done.stderr
    cases = re.search(r"([\d,]+) generated", told) or re.search(r"Test cases:\s*\n\s*([\d,]+)", told)
    report.check(f"schemathesis finds no fault ({cases.group(1) if cases else '?'} requests in {seconds} s)", None if done.returncode == 0 else "see below")
    if done.returncode != 0:
        print(told[-20_000:])
    return told


if __name__ == "__main__":
    sys.exit(main())
