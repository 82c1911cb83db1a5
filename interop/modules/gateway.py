"""A gateway as its client sees it, over stdio."""

import base64
import json
import os
import pathlib
import queue
import subprocess
import threading
import time
import urllib.parse

REVISION = "2025-11-25"
START_SECONDS = 30
ANSWER_SECONDS = 45
# For every call after one that was not answered.
HUNG_SECONDS = 2
END_SECONDS = 20


class GatewayError(Exception):
    pass


class NoModule(GatewayError):
    """The program has no module of this kind."""


class Answer:
    """What a call gave: a result, or a protocol error."""

    def __init__(self, message, seconds):
        self.message, self.seconds = message, seconds
        self.error = message.get("error")
        result = message.get("result") or {}
        self.content = result.get("content") or []
        self.structured = result.get("structuredContent")
        self.is_error = bool(result.get("isError"))

    @property
    def text(self):
        texts = [block["text"] for block in self.content if block.get("type") == "text"]
        return texts[0] if len(texts) == 1 else None

    @property
    def value(self):
        """The plain value: structured content without the wrapping of results that are no object."""
        wrapped = self.structured
        return wrapped["result"] if isinstance(wrapped, dict) and list(wrapped) == ["result"] else wrapped

    @property
    def code(self):
        inner = (self.structured or {}).get("error", self.structured) if isinstance(self.structured, dict) else None
        return inner.get("code") if self.is_error and isinstance(inner, dict) else None

    def shown(self):
        return json.dumps(self.error or self.message.get("result"), ensure_ascii=False)[:400]


class Client:
    """A program that speaks MCP over stdio, every byte of its output kept."""

    def __init__(self, command, work, env, capabilities=None):
        self.work, self.capabilities = pathlib.Path(work), capabilities or {}
        self.work.mkdir(parents=True, exist_ok=True)
        self.log = self.work / "stderr.log"
        self.out = bytearray()
        self.lines, self.number, self.patience = queue.Queue(), 0, ANSWER_SECONDS
        plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        with open(self.log, "wb") as err:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=err,
                env={**plain, "HOME": str(self.work), **env},
                cwd=self.work,
                start_new_session=True,
            )
        threading.Thread(target=self.read, daemon=True).start()

    def __enter__(self):
        try:
            opening = {"protocolVersion": REVISION, "capabilities": self.capabilities, "clientInfo": {"name": "interop", "version": "1"}}
            self.opened = self.ask("initialize", opening, START_SECONDS)
            self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            self.tools = self.list_tools()
        except queue.Empty:
            self.close()
            raise GatewayError(f"no list of tools within {START_SECONDS} s") from None
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def read(self):
        for line in self.child.stdout:
            self.out += line
            self.lines.put(line)
        self.lines.put(None)

    def send(self, message):
        try:
            self.child.stdin.write(json.dumps(message, ensure_ascii=False).encode() + b"\n")
            self.child.stdin.flush()
        except (BrokenPipeError, OSError):
            raise self.ended() from None

    def list_tools(self):
        return {tool["name"]: tool for tool in self.ask("tools/list", {})["result"]["tools"]}

    def ask(self, method, params, seconds=START_SECONDS):
        self.number += 1
        number, end = self.number, time.monotonic() + seconds
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        while True:
            line = self.lines.get(timeout=max(0, end - time.monotonic()))
            if line is None:
                raise self.ended()
            message = json.loads(line)
            if message.get("id") == number and "method" not in message:
                return message

    def call(self, name, /, **arguments):
        """A call that is not answered in time is an answer with a protocol error."""
        begun = time.monotonic()
        try:
            message = self.ask("tools/call", {"name": name, "arguments": arguments}, self.patience)
        except queue.Empty:
            message, self.patience = {"error": {"code": 0, "message": f"no answer within {self.patience} s"}}, HUNG_SECONDS
        return Answer(message, time.monotonic() - begun)

    def ended(self):
        try:
            self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
        said = self.log.read_text(errors="replace")
        kind = NoModule if "this build has no module" in said or "cannot read credentials from Vault" in said else GatewayError
        plain = [line for line in said.splitlines() if line and not line.startswith("{")]
        return kind(f"ended with {self.child.returncode}: {' / '.join(plain[-5:])}")

    def close(self):
        if self.child.stdin and not self.child.stdin.closed:
            try:
                self.child.stdin.close()
            except OSError:
                pass
        try:
            self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        (self.work / "stdout.log").write_bytes(self.out)


class Gateway(Client):
    """`PROGRAM run`. `modules` is the manifest's section of that name, `env` the credentials."""

    def __init__(self, program, work, modules, env=None, agent=("build-01", "build"), **sections):
        work = pathlib.Path(work)
        work.mkdir(parents=True, exist_ok=True)
        manifest = {"agent_type": agent[1], "description": "Interoperability of tool modules.", "modules": modules, **sections}
        file = work / "manifest.yml"
        file.write_text(json.dumps(manifest, indent=1))  # JSON is YAML
        identity = {"AGENT_ID": agent[0], "AGENT_TYPE": agent[1], "XDG_STATE_HOME": str(work / "state")}
        super().__init__([program, "run", "--manifest", file], work, {**identity, **(env or {})})

    def leak(self, secrets, hidden=()):
        """None, or where a secret was found: in any output or in anything that was stored. `hidden` must not reach the agent."""
        places = {"stdout": bytes(self.out), "stderr": self.log.read_bytes()}
        state = self.work / "state"
        places |= {str(file.relative_to(self.work)): file.read_bytes() for file in state.rglob("*") if file.is_file()}
        for name, secret in secrets.items():
            for form in forms(secret):
                found = [place for place, held in places.items() if form in held]
                if found:
                    return f"{name} is in {', '.join(found)}"
        for word in hidden:
            if word.encode() in places["stdout"]:
                return f"the agent was told {word!r}"
        return None


def forms(secret):
    """A secret as it is, in JSON, in a URL and in Base64 at each of the three alignments."""
    raw = secret.encode()
    found = {raw, json.dumps(secret)[1:-1].encode(), urllib.parse.quote(secret, safe="").encode()}
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw)
        skip, keep = (0, 2, 3)[lead], -(-(lead + len(raw)) * 4 // 3)
        inner = encoded[skip : keep - 2]
        if len(inner) >= 8:
            found.add(inner)
    return found
