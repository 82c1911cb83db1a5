"""Published MCP servers behind `bailiwick serve`: what a manifest admits is listed and callable, everything else does not exist."""
import contextlib
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time

READY_SECONDS = 60
ANSWER_SECONDS = 60
MODERN, LEGACY = "2026-07-28", "2025-11-25"
CANARY = "canary-" + secrets.token_hex(12)

# A call of every tool that the two servers offer to a client without capabilities: arguments, and what the answer must hold.
PLAIN_TEXT = "data:text/plain;base64,aGVsbG8="
EVERYTHING_CALLS = {
    "echo": ({"message": "hello"}, lambda r, d: r["content"][0]["text"] == "Echo: hello"),
    "get-annotated-message": ({"messageType": "error", "includeImage": True}, lambda r, d: [c["type"] for c in r["content"]] == ["text", "image"]),
    "get-env": ({}, lambda r, d: "PATH" in r["content"][0]["text"] and CANARY not in r["content"][0]["text"]),
    "get-resource-links": ({"count": 2}, lambda r, d: [c["type"] for c in r["content"]] == ["text", "resource_link", "resource_link"]),
    "get-resource-reference": ({"resourceType": "Text", "resourceId": 1}, lambda r, d: r["content"][1]["resource"]["uri"].startswith("demo:")),
    "get-structured-content": ({"location": "Chicago"}, lambda r, d: r["structuredContent"]["temperature"] == 36),
    "get-sum": ({"a": 2, "b": 40}, lambda r, d: "42" in r["content"][0]["text"]),
    "get-tiny-image": ({}, lambda r, d: any(c["type"] == "image" and c["data"] for c in r["content"])),
    "gzip-file-as-resource": ({"name": "a.gz", "data": PLAIN_TEXT, "outputType": "resource"}, lambda r, d: r["content"][0]["resource"]["blob"]),
    "toggle-simulated-logging": ({}, lambda r, d: r["content"][0]["text"]),
    "toggle-subscriber-updates": ({}, lambda r, d: r["content"][0]["text"]),
    "trigger-long-running-operation": ({"duration": 0.2, "steps": 2}, lambda r, d: "completed" in r["content"][0]["text"]),
}
EVERYTHING_TOOLS = sorted(EVERYTHING_CALLS)
FILES_CALLS = {
    "read_file": ({"path": "{dir}/a.txt"}, lambda r, d: r["content"][0]["text"] == "alpha\n"),
    "read_text_file": ({"path": "{dir}/a.txt"}, lambda r, d: r["content"][0]["text"] == "alpha\n"),
    "read_media_file": ({"path": "{dir}/dot.png"}, lambda r, d: r["content"][0]["type"] == "image"),
    "read_multiple_files": ({"paths": ["{dir}/a.txt", "{dir}/b.txt"]}, lambda r, d: "alpha" in str(r) and "beta" in str(r)),
    "list_directory": ({"path": "{dir}"}, lambda r, d: "[FILE] a.txt" in r["content"][0]["text"]),
    "list_directory_with_sizes": ({"path": "{dir}"}, lambda r, d: "a.txt" in r["content"][0]["text"]),
    "directory_tree": ({"path": "{dir}"}, lambda r, d: "a.txt" in r["content"][0]["text"]),
    "search_files": ({"path": "{dir}", "pattern": "**/*.txt"}, lambda r, d: "b.txt" in r["content"][0]["text"]),
    "get_file_info": ({"path": "{dir}/a.txt"}, lambda r, d: "size" in r["content"][0]["text"]),
    "list_allowed_directories": ({}, lambda r, d: d in r["content"][0]["text"]),
}
# server name -> (the tools the manifest admits, their calls)
STDIO_HALF = {k: EVERYTHING_CALLS[k] for k in EVERYTHING_TOOLS[0::2] + ["get-env", "toggle-simulated-logging"]}
HTTP_HALF = {k: EVERYTHING_CALLS[k] for k in EVERYTHING_TOOLS[1::2] + ["echo"]}
ADMITTED = {"every": STDIO_HALF, "web": HTTP_HALF, "files": FILES_CALLS}
FILES_DENIED = ["write_*", "edit_*", "move_*", "create_*"]


class Caller:
    """A plain MCP client over HTTP that checks ids; one per era."""

    def __init__(self, port, token, era):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        self.token, self.era, self.next_id, self.session = token, era, 1, None
        if era == "legacy":
            opening = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "interop", "version": "1"}}
            opened = self.ask("initialize", opening)
            if "result" not in opened:
                raise AssertionError(f"initialize: {opened}")
            self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, "notifications/initialized")

    def post(self, message, method):
        headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        if method != "initialize":
            headers["mcp-protocol-version"] = MODERN if self.era == "modern" else LEGACY
        if self.session:
            headers["mcp-session-id"] = self.session
        if self.era == "modern":
            headers["mcp-method"] = method
            if method == "tools/call":
                headers["mcp-name"] = message["params"]["name"]
        self.connection.request("POST", "/mcp", json.dumps(message), headers)
        response = self.connection.getresponse()
        self.session = response.getheader("mcp-session-id") or self.session
        return response.status, response.getheader("content-type") or "", response.read().decode()

    def ask(self, method, params):
        number, self.next_id = self.next_id, self.next_id + 1
        if self.era == "modern":
            meta = {"protocolVersion": MODERN, "clientCapabilities": {}, "clientInfo": {"name": "interop", "version": "1"}}
            params = {**params, "_meta": {f"io.modelcontextprotocol/{name}": value for name, value in meta.items()}}
        _, kind, text = self.post({"jsonrpc": "2.0", "id": number, "method": method, "params": params}, method)
        for answer in events(text) if kind.startswith("text/event-stream") else [text]:
            message = json.loads(answer) if answer else {}
            if message.get("id") == number and "method" not in message:
                return message
        raise AssertionError(f"{method}: no answer to request {number}: {text[:300]}")

    def tools(self):
        names, cursor = [], {}
        while True:
            answer = self.ask("tools/list", cursor)
            names += [tool["name"] for tool in answer["result"]["tools"]]
            if "nextCursor" not in answer["result"]:
                return names
            cursor = {"cursor": answer["result"]["nextCursor"]}

    def call(self, name, arguments):
        return self.ask("tools/call", {"name": name, "arguments": arguments})


def events(stream):
    for event in re.split(r"\r?\n\r?\n", stream):
        data = [line[5:].removeprefix(" ") for line in event.splitlines() if line.startswith("data:")]
        if data:
            yield "\n".join(data)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def process(command, log, env, cwd):
    """A child in a process group of its own, ended with everything it started."""
    with open(log, "wb") as out:
        child = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd, start_new_session=True)
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait(5)


def wait_until(ask, child, what, log):
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        if child.poll() is not None:
            raise AssertionError(f"{what} ended with {child.returncode}: {tail(log)}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            if ask():
                return
        time.sleep(0.02)
    raise AssertionError(f"{what} is not ready after {READY_SECONDS} s: {tail(log)}")


def tail(log):
    return " / ".join(log.read_text(errors="replace").splitlines()[-5:])


def http_status(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    return connection.getresponse().status


def write_files(work, bin_dir, port, web_port):
    files = work / "served"
    files.mkdir()
    (files / "a.txt").write_text("alpha\n")
    (files / "b.txt").write_text("beta\n")
    dot = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    import base64
    (files / "dot.png").write_bytes(base64.b64decode(dot))
    stdio = lambda program, *args: {"command": str(bin_dir / program), "args": list(args)}
    config = {
        "listen": f"127.0.0.1:{port}", "state_dir": str(work / "state"), "manifests": [str(work / "interop.yml")],
        "shutdown": {"ready_delay_seconds": 0, "drain_seconds": 5},
        "servers": {
            "every": {**stdio("mcp-server-everything", "stdio"), "trust": "first_party"},
            "files": {**stdio("mcp-server-filesystem", str(files)), "trust": "first_party"},
            "web": {"url": f"http://127.0.0.1:{web_port}/mcp", "trust": "first_party", "allow_private": ["127.0.0.1/32"]},
        },
    }
    manifest = {
        "agent_type": "interop", "description": "Half of each server.",
        "servers": {
            "every": {"tools": {"allow": list(STDIO_HALF)}},
            "web": {"tools": {"allow": list(HTTP_HALF)}},
            "files": {"tools": {"deny": FILES_DENIED}},
        },
    }
    # JSON is YAML.
    (work / "bailiwick.yml").write_text(json.dumps(config, indent=1))
    (work / "interop.yml").write_text(json.dumps(manifest, indent=1))
    return str(files)


def check(report, program, bin_dir, work):
    port, web_port = free_port(), free_port()
    files = write_files(work, bin_dir, port, web_port)
    env = {"PATH": os.environ["PATH"], "HOME": str(work)}
    config = work / "bailiwick.yml"
    try:
        with process([bin_dir / "mcp-server-everything", "streamableHttp"], work / "web.log", {**env, "PORT": str(web_port)}, work) as web:
            wait_until(lambda: http_status(web_port, "/mcp") > 0, web, "server-everything", work / "web.log")
            key = [program, "key", "create", "--agent-id", "interop-01", "--agent-type", "interop", "--config", config]
            made = subprocess.run([str(c) for c in key], capture_output=True, text=True, env=env, cwd=work, timeout=60)
            if made.returncode != 0:
                raise AssertionError(f"key create: {made.stderr.strip()}")
            token = made.stdout.split()[-1]
            log = work / "bailiwick.log"
            with process([program, "serve", "--config", config], log, {**env, "INTEROP_CANARY": CANARY}, work) as gateway:
                wait_until(lambda: http_status(port, "/readyz") == 200, gateway, "bailiwick serve", log)
                for era in ("modern", "legacy"):
                    check_era(report, port, token, era, files)
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        report.failed("upstreams", str(error))


def check_era(report, port, token, era, files):
    caller = Caller(port, token, era)
    expected = sorted(f"{server}__{tool}" for server, tools in ADMITTED.items() for tool in tools)
    # A server that is still being started joins the list a moment later.
    end = time.monotonic() + READY_SECONDS
    while sorted(names := caller.tools()) != expected and time.monotonic() < end:
        time.sleep(0.2)
    missing, extra = sorted(set(expected) - set(names)), sorted(set(names) - set(expected))
    report.check(f"{era}: exactly the {len(expected)} admitted tools are listed", None if not missing and not extra else f"missing {missing}, too many {extra}")
    for server, tools in ADMITTED.items():
        for tool, (arguments, fits) in tools.items():
            name = f"{server}__{tool}"
            arguments = json.loads(json.dumps(arguments).replace("{dir}", files))
            report.check(f"{era}: {name}", attempt(lambda: problem(caller.call(name, arguments), fits, files)))
    nothing = shape(caller.call("every__no-such-tool", {}), "every__no-such-tool")
    hidden = [f"every__{t}" for t in EVERYTHING_TOOLS if t not in STDIO_HALF] + [f"web__{t}" for t in EVERYTHING_TOOLS if t not in HTTP_HALF]
    hidden += ["web__simulate-research-query", "files__write_file", "files__edit_file", "files__move_file", "files__create_directory", "echo", "nobody__echo"]
    for name in hidden:
        got = attempt(lambda: shape(caller.call(name, {"path": f"{files}/new.txt", "content": "x"}), name))
        report.check(f"{era}: {name} does not exist", None if got == nothing else f"{got} in place of {nothing}")
    written = os.path.exists(os.path.join(files, "new.txt"))
    report.check(f"{era}: nothing was written", "a refused write reached the server" if written else None)


def attempt(run):
    try:
        return run()
    except (AssertionError, KeyError, IndexError, TypeError, ValueError, OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"


def problem(answer, fits, files):
    if "result" not in answer:
        return f"error {answer.get('error')}"
    result = answer["result"]
    if result.get("isError"):
        return f"isError: {json.dumps(result)[:300]}"
    return None if fits(result, files) else f"unexpected answer {json.dumps(result)[:300]}"


def shape(answer, name):
    """An answer without what differs for every call: the request's id, the event's id, the name that was asked for."""
    text = json.dumps({k: v for k, v in answer.items() if k != "id"}, sort_keys=True)
    return re.sub(r"[0-9a-f]{32}", "EVENT", text.replace(name, "NAME"))
