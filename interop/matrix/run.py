#!/usr/bin/env python3
"""The official clients against the official servers, through the gateway: every cell of the matrix. Standard library only.

    run.py --gateway PROGRAM        `interop/run.sh matrix` installs what is needed and calls this
    run.py --direct                 the same clients and servers without a gateway: shows whose fault a failure is

    --client WORD, --server WORD    only clients and servers with this word in their name
    --cache DIR                     what `interop/run.sh` installed (default: ~/.cache/bailiwick/interop)
    --keep DIR                      where the plans and logs are kept

One table for each server: a line for each step, a column for each client. A cell is ok, n/a or failed, with the reason below the table.
All steps are walked through twice: at the endpoint of all servers, where names have a prefix, and at the one that shows this server under
its own names (the line `own names`). Exit code 0 only when nothing failed.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from upstreams import free_port, http_status, process, wait_until

MODERN, LEGACY = "2026-07-28", "2025-11-25"
REVISIONS = {"modern": MODERN, "legacy": LEGACY}
CLIENT_SECONDS = 150
OBSERVE = HERE / "servers/observe.mjs"

Client = collections.namedtuple("Client", "name era command")
# `kind` says which steps fit; `era` is how the gateway shall speak to it: it is told so where the server speaks both, and finds out itself
# that a server has the older one only.
Server = collections.namedtuple("Server", "name kind transport era command env")

STEPS = [
    "open", "tools", "call", "prompt", "resource", "template", "completion", "template completion", "progress", "resume", "cancel", "list change", "ask",
]
PARKED = "an older server that asks a client of 2026-07-28 is refused for now"


def clients(cache):
    python = lambda version, script: [cache / f"python-{version}/bin/python", HERE / "clients" / script]
    node = lambda script: ["node", cache / "node/matrix" / script]
    rmcp = [cache / "matrix-rmcp/debug/client"]
    return [
        Client("python 1.30", "legacy", python("1.30.0", "python_v1.py")),
        Client("python 2.3", "legacy", python("2.3.0", "python_v2.py")),
        Client("python 2.3", "modern", python("2.3.0", "python_v2.py")),
        Client("typescript 1.32", "legacy", node("typescript_v1.mjs")),
        Client("typescript 2.4", "legacy", node("typescript_v2.mjs")),
        Client("typescript 2.4", "modern", node("typescript_v2.mjs")),
        Client("rmcp 3.9", "legacy", rmcp),
        Client("rmcp 3.9", "modern", rmcp),
    ]


def servers(cache, work):
    modules = cache / "node/node_modules"
    found = []
    for transport, word in (("stdio", "stdio"), ("http", "streamableHttp")):
        name = f"everything-{transport}"
        env = {"MATRIX_SDK": modules / "@modelcontextprotocol/sdk", "MATRIX_OBSERVED": observed(work, name), "NODE_OPTIONS": f"--import={OBSERVE}"}
        found.append(Server(name, "everything", transport, "legacy", [modules / ".bin/mcp-server-everything", word], env))
    for kind, command in (("python", [cache / "python-2.3.0/bin/python", HERE / "servers/python.py"]), ("rmcp", [cache / "matrix-rmcp/debug/server"])):
        for transport in ("stdio", "http"):
            for era in ("legacy", "modern"):
                name = f"{kind}-{transport}-{era}"
                found.append(Server(name, kind, transport, era, [*command, name, observed(work, name)], {}))
    return found


def observed(work, name):
    return work / f"{name}.observed"


def steps(server, label):
    """The parts of a plan: what each step asks for, and what the server itself must have answered."""
    wrapped = lambda uri: f"bailiwick://{server.name}/{uri}"
    asked = {"tool": "ask", "arguments": {}, "text": "Hello, Ada!"}
    if server.kind == "everything":
        asked = {"tool": "trigger-elicitation-request", "arguments": {}, "text": "- Name: Ada"}
        added = f"demo://resource/session/extra-{label}"
        file = {"name": f"extra-{label}", "data": "data:text/plain;base64,aGVsbG8=", "outputType": "resourceLink"}
        text, page = "demo://resource/dynamic/text/{resourceId}", "demo://resource/static/document/architecture.md"
        parts = {
            "tools": {"has": ["echo", "get-sum", "trigger-long-running-operation"]},
            "call": {"tool": "echo", "arguments": {"message": "hello"}, "text": "Echo: hello"},
            "prompt": {"name": "args-prompt", "arguments": {"city": "Oslo"}, "text": "What's weather in Oslo?"},
            "resource": {"uri": page, "wrapped": wrapped(page), "text": "Everything Server"},
            "template": {"uri": text, "wrapped": wrapped(text), "hole": "{resourceId}", "text": "Resource 7: This is a plaintext resource"},
            "completion": {"prompt": "completable-prompt", "argument": {"name": "department", "value": "S"}, "values": ["Sales", "Support"]},
            "template completion": {"uri": text, "wrapped": wrapped(text), "argument": {"name": "resourceId", "value": "7"}, "values": ["7"]},
            "progress": {"tool": "trigger-long-running-operation", "arguments": {"duration": 0.3, "steps": 3}, "progress": [[1, 3], [2, 3], [3, 3]]},
            "cancel": {"tool": "trigger-long-running-operation", "arguments": {"duration": 20, "steps": 2}},
            "list change": {"tool": "gzip-file-as-resource", "arguments": file, "kind": "resources", "appears": [added, wrapped(added)]},
        }
    else:
        prefix = f"{server.name}__"
        plan, item, new = "note://plan", "item://{id}/text", f"extra_{label}"
        parts = {
            "tools": {"has": ["ask", "echo", "grow", "steps", "wait"]},
            "call": {"tool": "echo", "arguments": {"message": "hello"}, "text": "Echo: hello"},
            "prompt": {"name": "greet", "arguments": {"who": "Ada"}, "text": f"Please greet Ada from {server.name}."},
            "resource": {"uri": plan, "wrapped": wrapped(plan), "text": f"The plan of {server.name}"},
            "template": {"uri": item, "wrapped": wrapped(item), "hole": "{id}", "text": f"Item 7 of {server.name}"},
            "completion": {"prompt": "greet", "argument": {"name": "who", "value": "Ad"}, "values": ["Ada", "Adele"]},
            "template completion": {"uri": item, "wrapped": wrapped(item), "argument": {"name": "id", "value": "G"}, "values": ["Grace"]},
            "progress": {"tool": "steps", "arguments": {}, "progress": [[1, 3], [2, 3], [3, 3]]},
            "cancel": {"tool": "wait", "arguments": {}},
            "list change": {"tool": "grow", "arguments": {"name": new}, "kind": "tools", "appears": [new, prefix + new]},
        }
    return {"open": {}, **parts, "resume": parts["progress"], "ask": asked}


def fits(client, step, direct):
    """Breaking a stream off and coming back to it is a matter of one client and the gateway: not every server keeps its streams."""
    return step != "resume" or (not direct and client.name.startswith("typescript 1."))


def judged(client, server, step, why):
    """(word, reason) of a step; `why` is what failed. The one known restriction counts only when the gateway says so itself."""
    if why is None:
        return "ok", None
    refused = "input_required: the server needs an answer of the user or the model" in why
    if step == "ask" and client.era == "modern" and server.era == "legacy" and refused:
        return "n/a", PARKED
    return "failed", " ".join(why.split())


def write_config(work, port, served):
    config = {
        "listen": f"127.0.0.1:{port}", "auth": "none", "state_dir": str(work / "state"), "manifests": [str(work / "matrix.yml")],
        "log": {"filter": "debug"}, "shutdown": {"ready_delay_seconds": 0, "drain_seconds": 1},
        "servers": {server.name: {**entry, "trust": "first_party", "era": "auto" if server.kind == "everything" else server.era} for server, entry in served},
    }
    manifest = {"agent_type": "matrix", "description": "Everything of every server.", "servers": {server.name: {} for server, _ in served}}
    # JSON is YAML.
    (work / "bailiwick.yml").write_text(json.dumps(config, indent=1))
    (work / "matrix.yml").write_text(json.dumps(manifest, indent=1))
    return work / "bailiwick.yml"


@contextlib.contextmanager
def running(stack, work, server):
    """An HTTP server; gives its URL."""
    port, log = free_port(), work / f"{server.name}.log"
    env = {"PATH": os.environ["PATH"], "HOME": str(work), **{name: str(value) for name, value in server.env.items()}}
    command = server.command
    if server.kind == "everything":
        env["PORT"] = str(port)
    else:
        command = [*command, str(port)]
    with process(command, log, env, work) as child:
        wait_until(lambda: http_status(port, "/mcp") > 0, child, server.name, log)
        yield f"http://127.0.0.1:{port}/mcp"


def entry_of(stack, work, server):
    """The server's entry in the configuration of the gateway; started here when the gateway does not do it."""
    if server.transport == "http":
        return {"url": stack.enter_context(running(stack, work, server)), "allow_private": ["127.0.0.1/32"]}
    command, *args = map(str, server.command if server.kind == "everything" else [*server.command, "stdio"])
    return {"command": command, "args": args, "env": {name: str(value) for name, value in server.env.items()}}


@contextlib.contextmanager
def endpoints(args, work, chosen):
    """Gives a function from (server, own names?) to a URL and the prefix of names there."""
    with contextlib.ExitStack() as stack:
        if args.direct:
            urls = {server.name: stack.enter_context(running(stack, work, server)) for server in chosen}
            yield lambda server, own: (urls[server.name], "")
            return
        served = [(server, entry_of(stack, work, server)) for server in chosen]
        port, log = free_port(), work / "bailiwick.log"
        command = [args.gateway, "serve", "--config", write_config(work, port, served)]
        child = stack.enter_context(process(command, log, {"PATH": os.environ["PATH"], "HOME": str(work)}, work))
        wait_until(lambda: http_status(port, "/readyz") == 200, child, "bailiwick serve", log)
        base = f"http://127.0.0.1:{port}/mcp"
        yield lambda server, own: (f"{base}/servers/{server.name}", "") if own else (base, f"{server.name}__")


def run_client(client, server, endpoint, parts, work, label):
    """Runs one client over some steps; gives step -> None or what failed."""
    url, prefix = endpoint
    plan = {
        "url": url, "prefix": prefix, "era": client.era, "revision": REVISIONS[client.era], "observed": str(observed(work, server.name)),
        "answer": {"name": "Ada"}, "steps": parts,
    }
    file, log = work / f"plan-{label}.json", work / f"client-{label}.log"
    file.write_text(json.dumps(plan, indent=1))
    with open(log, "wb") as err:
        child = subprocess.Popen(
            [*map(str, client.command), str(file)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err, cwd=work, start_new_session=True,
        )
    killer = threading.Timer(CLIENT_SECONDS, lambda: os.killpg(child.pid, signal.SIGKILL))
    killer.start()
    try:
        lines = child.stdout.read().decode().splitlines()
        code = child.wait()
    finally:
        killer.cancel()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    said = [json.loads(line) for line in lines if line.startswith("{")]
    results = {line["step"]: line.get("failed") for line in said}
    broken = results.get("open") or f"the client ended with {code}"
    return {step: results[step] if step in results else f"not reached: {broken}" for step in parts}


def cell(args, client, server, endpoint, work, number):
    """step -> (word, reason) of one client and one server."""
    found = {}
    for own in (False,) if args.direct else (False, True):
        label = f"{number}{'o' if own else ''}"
        parts = {step: part for step, part in steps(server, label).items() if fits(client, step, args.direct)}
        results = run_client(client, server, endpoint(server, own), parts, work, label)
        words = {step: judged(client, server, step, why) for step, why in results.items()}
        if own:
            bad = [f"{step}: {why}" for step, (word, why) in words.items() if word == "failed"]
            words = {"own names": ("failed", "; ".join(bad)) if bad else ("ok", None)}
        found.update(words)
    return found


def print_table(server, rows):
    """`rows`: [(client, cell)]."""
    heads = [[client.name, client.era] for client, _ in rows]
    widths = [max(len(word) for word in head) for head in heads]
    steps_shown = [step for step in (*STEPS, "own names") if any(step in cell for _, cell in rows)]
    first = max(map(len, steps_shown))
    line = lambda head, words: "  ".join([head.ljust(first), *(word.ljust(width) for word, width in zip(words, widths))]).rstrip()
    print(f"\n{server.name} (spoken to as {server.era})")
    print(line("", [head[0] for head in heads]))
    print(line("", [head[1] for head in heads]))
    for step in steps_shown:
        print(line(step, [cell.get(step, ("", None))[0] for _, cell in rows]))
    reasons = collections.defaultdict(list)
    for client, cell in rows:
        for step, (word, why) in cell.items():
            if why:
                reasons[f"{word}: {step}: {why}"].append(f"{client.name} {client.era}")
    for reason, who in reasons.items():
        print(f"  {reason}  [{', '.join(who)}]")
    sys.stdout.flush()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--gateway", type=os.path.abspath)
    target.add_argument("--direct", action="store_true")
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "bailiwick/interop"
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(os.environ.get("BAILIWICK_INTEROP_CACHE", default)))
    parser.add_argument("--client", default="")
    parser.add_argument("--server", default="")
    parser.add_argument("--keep", type=pathlib.Path)
    return parser.parse_args()


@contextlib.contextmanager
def workplace(keep):
    with tempfile.TemporaryDirectory(prefix="bailiwick-matrix-") as folder:
        work = pathlib.Path(folder)
        try:
            yield work
        finally:
            if keep:
                shutil.copytree(work, keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("state"))


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    words = collections.Counter()
    with workplace(args.keep) as work:
        asked = [client for client in clients(args.cache) if args.client in f"{client.name} {client.era}"]
        chosen = [server for server in servers(args.cache, work) if args.server in server.name]
        if args.direct:
            chosen = [server for server in chosen if server.transport == "http"]
        for server in chosen:
            observed(work, server.name).touch()
        number = 0
        with endpoints(args, work, chosen) as endpoint:
            for server in chosen:
                rows = []
                for client in [one for one in asked if not args.direct or one.era == server.era]:
                    number += 1
                    rows.append((client, cell(args, client, server, endpoint, work, number)))
                if rows:
                    print_table(server, rows)
                words.update(word for _, found in rows for word, _ in found.values())
    print(f"\nn/a {words['n/a']}")
    print(f"{words['ok']} passed, {words['failed']} failed")
    sys.exit(0 if words["ok"] and not words["failed"] else 1)


if __name__ == "__main__":
    main()
