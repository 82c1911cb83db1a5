#!/usr/bin/env python3
"""Measures built-in modules over stdio beside scoped-mcp 1.19.1, which reads the same manifest, and prints ratios within one run.

    BAILIWICK=target/release/bailiwick benches/modules.py
    benches/modules.py --gateway PROGRAM --rounds 7 --calls 500 --json FILE

What is measured: start (process start to answered initialize and tools/list), and calls one after another of filesystem read_file (4 KiB),
sqlite query (20 of 1,000 rows) and http_proxy get (a JSON object over loopback). Wall time of a call is what the client waits, CPU time is
what the program uses. Rounds alternate between the two programs, every second one the other way round. Every answer is checked.

scoped-mcp reaches no loopback and no private address, and has no setting for it. So everything runs in a network namespace of its own
whose loopback interface also has 198.18.0.1, which it lets pass and the manifest opens for us. Nothing leaves that namespace. Where no
namespace can be made, http_proxy is left out and the output says so. Standard library only; scoped-mcp is installed into the interop cache.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop/modules"))
import install

PEER = "1.19.1"
ADDRESS = "198.18.0.1"
AGENT = {"AGENT_ID": "bench-01", "AGENT_TYPE": "bench"}
REVISION = "2025-11-25"
START_SECONDS, ROUND_SECONDS, END_SECONDS = 60, 120, 20
TICK = os.sysconf("SC_CLK_TCK")
TEXT = "".join(f"{number:04} the quick brown fox jumps over the lazy dog in 64 letters..\n" for number in range(64))[:4096]
ROWS = [{"id": number, "title": f"paper {number}", "year": 1900 + number % 100} for number in range(1000)]
QUERY = "SELECT id, title, year FROM papers WHERE year = 1950 OR year = 1951 ORDER BY id LIMIT 20"
FOUND = [row for row in ROWS if row["year"] in (1950, 1951)][:20]
REPLY = {"items": [{"id": number, "name": f"item {number}"} for number in range(10)], "next": None}

# cell -> (tool, arguments, the value of its text)
CALLS = {
    "filesystem read_file": ("filesystem_read_file", {"path": "notes/plan.txt"}, TEXT),
    "sqlite query": ("sqlite_query", {"sql": QUERY}, FOUND),
    "http_proxy get": ("http_proxy_get", {"service": "api", "path": "items"}, REPLY),
}


class WrongAnswer(Exception):
    pass


class Program:
    """One run of a program: blocking lines over its pipes, killed when a round takes too long."""

    def __init__(self, command, work, seconds):
        env = {"PATH": os.environ["PATH"], "HOME": str(work), "XDG_STATE_HOME": str(work / "state"), **AGENT}
        self.number, self.work = 0, work
        self.begun = time.perf_counter()
        with open(work / "stderr.log", "wb") as err:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, env=env, cwd=work)
        self.killer = threading.Timer(seconds, self.child.kill)
        self.killer.start()

    def ask(self, method, params):
        self.number += 1
        self.write({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        while line := self.child.stdout.readline():
            message = json.loads(line)
            if message.get("id") == self.number and "method" not in message:
                return message
        raise WrongAnswer(f"{method}: ended: {' / '.join(self.said()[-3:])}")

    def write(self, message):
        try:
            self.child.stdin.write(json.dumps(message).encode() + b"\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # the end of its output says why

    def said(self):
        return [line for line in (self.work / "stderr.log").read_text(errors="replace").splitlines() if line and not line.startswith("{")]

    def open(self):
        """Seconds from the start of the process to the list of tools."""
        opening = {"protocolVersion": REVISION, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
        self.ask("initialize", opening)
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        tools = {tool["name"] for tool in self.ask("tools/list", {})["result"]["tools"]}
        took = time.perf_counter() - self.begun
        missing = {tool for tool, _, _ in self.cells.values()} - tools
        if missing:
            raise WrongAnswer(f"{sorted(missing)} not listed")
        return took

    def call(self, tool, arguments, expected):
        """Seconds that the client waits."""
        begun = time.perf_counter()
        message = self.ask("tools/call", {"name": tool, "arguments": arguments})
        took = time.perf_counter() - begun
        result = message.get("result") or {}
        text = (result.get("content") or [{}])[0].get("text")
        if result.get("isError") or text is None or (text if isinstance(expected, str) else json.loads(text)) != expected:
            raise WrongAnswer(f"{tool}: {json.dumps(message)[:300]}")
        return took

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self):
        """Proportional set size in MiB."""
        lines = pathlib.Path(f"/proc/{self.child.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024

    def close(self):
        self.child.stdin.close()
        try:
            self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.killer.cancel()


def prepare(work, port, cells):
    """Files, a database and the manifest of one program; gives the manifest."""
    notes, databases = work / "files/agents/bench-01/notes", work / "databases"
    notes.mkdir(parents=True)
    (notes / "plan.txt").write_text(TEXT)
    databases.mkdir(mode=0o700)
    file = databases / "agent_bench-01.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE papers (id INTEGER PRIMARY KEY, title TEXT, year INTEGER)")
        db.executemany("INSERT INTO papers VALUES (:id, :title, :year)", ROWS)
    db.close()
    file.chmod(0o600)
    service = {"name": "api", "base_url": f"http://{ADDRESS}:{port}/v1", "allow_private": [f"{ADDRESS}/32"]}
    modules = {
        "filesystem": {"mode": "read", "config": {"base_path": str(work / "files")}},
        "sqlite": {"mode": "read", "config": {"db_dir": str(databases)}},
        "http_proxy": {"mode": "read", "config": {"allowed_services": [service]}},
    }
    used = {cell.split()[0] for cell in cells}
    manifest = work / "manifest.yml"
    # JSON is YAML.
    kept = {name: module for name, module in modules.items() if name in used}
    manifest.write_text(json.dumps({"agent_type": "bench", "description": "Reads.", "modules": kept}))
    return manifest


def children_cpu():
    """CPU seconds of all children that have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def one_round(command, work, args, cells):
    """cell -> {"wall_us", "cpu_us"} of one program in one round."""
    figures, starts, used = {}, [], children_cpu()
    for _ in range(args.starts):
        program = Program(command, work, START_SECONDS)
        program.cells = cells
        try:
            starts.append(program.open())
        finally:
            program.close()
    figures["start"] = {"wall_us": statistics.median(starts) * 1e6, "cpu_us": (children_cpu() - used) / args.starts * 1e6}
    program = Program(command, work, ROUND_SECONDS)
    program.cells = cells
    try:
        program.open()
        for cell, call in cells.items():
            for _ in range(args.warmup):
                program.call(*call)
            before = program.cpu()
            waits = sorted(program.call(*call) for _ in range(args.calls))
            figures[cell] = {
                "wall_us": statistics.median(waits) * 1e6,
                "p99_us": waits[int(len(waits) * 0.99)] * 1e6,
                "cpu_us": (program.cpu() - before) / args.calls * 1e6,
            }
        figures["memory"] = {"mib": program.memory()}
    finally:
        program.close()
    return figures


def has_module(program, name, work):
    """Whether the program knows the kind of module, by its own word."""
    file = work / "probe.yml"
    file.write_text(json.dumps({"agent_type": "bench", "modules": {name: {"mode": "read", "config": {}}}}))
    done = subprocess.run(
        [program, "validate", "--manifest", file], capture_output=True, text=True, timeout=START_SECONDS, env={**os.environ, **AGENT}
    )
    return f"no module `{name}`" not in done.stdout + done.stderr


def measure(args, work):
    cells, notes, port = dict(CALLS), [], 0
    if not args.inside:
        cells.pop("http_proxy get")
        notes.append("http_proxy get: not measured: no network namespace can be made here")
    elif not has_module(args.gateway, "http_proxy", work):
        cells.pop("http_proxy get")
        notes.append("http_proxy get: not measured: this program does not have the module")
    server = None
    if "http_proxy get" in cells:
        server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
        port = int(server.stdout.readline())
    peer = install.venv(args.cache, f"scoped-mcp-{PEER}", f"scoped-mcp[all]=={PEER}") / "scoped-mcp"
    places = {}
    for name, program in {"bailiwick": args.gateway, "scoped-mcp": str(peer)}.items():
        folder = work / name
        folder.mkdir()
        places[name] = (
            [program, "run", "--manifest", str(prepare(folder, port, cells)), "--audit-log", str(folder / "audit.jsonl")],
            folder,
        )
    rounds = []
    try:
        for number in range(args.rounds):
            order = list(places) if number % 2 == 0 else list(reversed(places))
            rounds.append({name: one_round(*places[name], args, cells) for name in order})
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr, flush=True)
    finally:
        if server:
            server.terminate()
            server.wait()
    return rounds, notes


def rows(rounds):
    """(figure, unit, scoped-mcp, bailiwick, ratios of the rounds) of everything that was measured."""
    units = {"wall_us": "wall, µs", "p99_us": "99th percentile, µs", "cpu_us": "CPU, µs", "mib": "MiB"}
    found = []
    for cell in rounds[0]["bailiwick"]:
        for key in rounds[0]["bailiwick"][cell]:
            ours = [each["bailiwick"][cell][key] for each in rounds]
            theirs = [each["scoped-mcp"][cell][key] for each in rounds]
            # CPU time is counted in ticks: a program that used none in one round has no ratio there.
            ratios = [b / a for a, b in zip(ours, theirs) if a > 0]
            found.append(
                {
                    "figure": cell,
                    "unit": units[key],
                    "scoped-mcp": statistics.median(theirs),
                    "bailiwick": statistics.median(ours),
                    "ratios": ratios,
                }
            )
    return found


def show(found, notes):
    number = lambda x: f"{x:,.0f}" if x >= 100 else f"{x:.3g}"
    spread = lambda r: f"{number(min(r))} / {number(statistics.median(r))} / {number(max(r))}" if r else "-"
    print(f"| Figure | | scoped-mcp {PEER} | Bailiwick | scoped-mcp in multiples of Bailiwick: min / median / max |\n|---|---|---|---|---|")
    for row in found:
        print(f"| {row['figure']} | {row['unit']} | {number(row['scoped-mcp'])} | {number(row['bailiwick'])} | {spread(row['ratios'])} |")
    for note in notes:
        print(note)


def serve():
    """Answers every request on every connection with the same object; its port is its first line."""
    body = json.dumps(REPLY).encode()
    reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)

    def talk(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        held = b""
        with connection:
            while part := connection.recv(65536):
                held += part
                while b"\r\n\r\n" in held:
                    held = held.split(b"\r\n\r\n", 1)[1]
                    connection.sendall(reply)

    with socket.create_server((ADDRESS, 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()


def enter(arguments):
    """Goes on in a network namespace of its own; comes back when there can be none."""
    unshare = shutil.which("unshare")
    command = [unshare, "--net"] if os.geteuid() == 0 else [unshare, "--user", "--map-root-user", "--net"]
    if unshare and shutil.which("ip") and subprocess.run([*command, "true"], capture_output=True).returncode == 0:
        os.execv(unshare, [*command, sys.executable, str(HERE / "modules.py"), *arguments, "--inside"])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--gateway", default=os.environ.get("BAILIWICK") or shutil.which("bailiwick"), help="the program, built in release mode"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300, help="calls of each tool in one round")
    parser.add_argument("--warmup", type=int, default=20)
    parser.add_argument("--starts", type=int, default=3, help="starts in one round, besides the one that takes the calls")
    parser.add_argument("--cache", type=pathlib.Path, default=install.default_cache())
    parser.add_argument("--json", type=pathlib.Path, help="file that keeps the raw figures")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    args = arguments()
    if args.serve:
        return serve()
    if not args.gateway or not os.access(args.gateway, os.X_OK):
        sys.exit("modules: set BAILIWICK to the program, built in release mode")
    args.gateway = os.path.abspath(args.gateway)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if args.inside:
        for command in (["ip", "link", "set", "lo", "up"], ["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"]):
            subprocess.run(command, check=True)
    else:
        install.venv(args.cache, f"scoped-mcp-{PEER}", f"scoped-mcp[all]=={PEER}")  # while there still is a network
        enter(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="bailiwick-bench-modules-") as folder:
        try:
            rounds, notes = measure(args, pathlib.Path(folder))
        except WrongAnswer as wrong:
            sys.exit(f"wrong answer: {wrong}")
    found = rows(rounds)
    show(found, notes)
    if args.json:
        args.json.write_text(json.dumps({"peer": PEER, "rounds": rounds, "rows": found, "notes": notes}, indent=1))


if __name__ == "__main__":
    main()
