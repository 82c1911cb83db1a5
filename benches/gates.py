#!/usr/bin/env python3
"""Measures Bailiwick beside nginx and `floor` with the side-by-side harness and prints gate, goal and what was reached.

    BAILIWICK=target/release/bailiwick benches/gates.py ../shared/bench

The harness (mcpbench: run.py, adapters/, mcpbench/) may be read-only: its programs are built into a cache, its scripts are
copied beside our adapter. Everything runs on one processor, which is least noise; only ratios inside one run are pledged.
Exit code 1 when a gate is missed. Standard library only.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
OURS, WRITE, NGINX, FLOOR = "bailiwick", "bailiwick@write", "nginx", "floor@work"
# agentgateway with authentication, a rule and its log, in multiples of nginx, as measured once on the same harness.
AGENTGATEWAY_CPU, AGENTGATEWAY_P50 = 12.6, 120 / 10.6
IDLE_SESSIONS = 2000


class Run:
    """The figures of one run of the harness."""

    def __init__(self, data):
        self.cells, self.extra = data["cells"], data["extra"]

    def median(self, cell, target, figure):
        rounds = [r for r in self.cells.get(f"{cell}|{target}", []) if "fatal" not in r]
        values = [value for r in rounds if (value := figure(r)) is not None]
        return statistics.median(values) if values else None

    def cpu(self, cell, target):
        return self.median(cell, target, lambda r: r.get("gw_cpu_us"))

    def p50(self, cell, target):
        return self.median(cell, target, lambda r: r.get("p50_us"))

    def rate(self, cell, target):
        return self.median(cell, target, lambda r: r.get("cps"))

    def cpu_per_byte(self, cell, target):
        return self.median(cell, target, lambda r: r["gw_cpu_us"] * r["calls"] / r["bytes"] if r.get("bytes") and r.get("gw_cpu_us") else None)

    def wrong(self):
        names = (OURS, WRITE)
        return [f"{key}: {r.get('fatal') or r.get('samples')}" for key, rounds in self.cells.items() if key.split("|")[1] in names
                for r in rounds if "fatal" in r or r.get("errors") or r.get("wrong")]


def ratio(a, b):
    return a / b if a is not None and b else None


def across(run, other, cell):
    """Our CPU per call in one run against another, each in multiples of nginx in its own run, so that the machine's mood cancels."""
    return ratio(ratio(run.cpu(cell, OURS), run.cpu(cell, NGINX)), ratio(other.cpu(cell, OURS), other.cpu(cell, NGINX)))


def less(a, b):
    return a - b if a is not None and b is not None else None


def kib_per_session(extra):
    held = extra.get("idle") or {}
    sessions = held.get("idle", 0) - held.get("failed", 0)
    if not extra.get("rss_idle_sessions") or sessions < IDLE_SESSIONS * 0.9:
        return None
    return (extra["rss_idle_sessions"] - extra["rss_after"]) * 1024 / sessions


def table(base, modern, many, few):
    """Rows of (figure, gate, goal, measured); at_least rows are marked by a gate below their goal."""
    ours = base.extra.get(OURS, {})
    added = lambda target: less(base.p50("echo64_c1", target), base.p50("echo64_c1", "direct"))
    cpu16 = lambda target: ratio(base.cpu("echo64_c16", target), base.cpu("echo64_c16", NGINX))
    per_agentgateway = lambda value: value / AGENTGATEWAY_CPU if value is not None else None
    return [
        ("CPU per call against nginx, 16 connections: read-only", 4, 2, cpu16(OURS)),
        ("the same: calls with effects", 6, 3, cpu16(WRITE)),
        ("the same against agentgateway (12.6 nginx): read-only", 0.40, 0.20, per_agentgateway(cpu16(OURS))),
        ("the same against agentgateway (12.6 nginx): effects", 0.60, 0.30, per_agentgateway(cpu16(WRITE))),
        ("p50 added, read-only, 1 connection, against agentgateway (11.3 nginx)", 0.5, 0.2, ratio(added(OURS), (added(NGINX) or 0) * AGENTGATEWAY_P50)),
        ("calls/s at 16 connections, ratio to direct", 0.2, 0.4, ratio(base.rate("echo64_c16", OURS), base.rate("echo64_c16", "direct"))),
        ("CPU per tools/list of 200 tools against nginx", 3, 1.3, ratio(base.cpu("list_c1", OURS), base.cpu("list_c1", NGINX))),
        ("the same, 5,000 tools over 5 upstreams, per byte, against 200 tools", 1.2, 1.0,
         ratio(many.cpu_per_byte("list_c1", OURS), base.cpu_per_byte("list_c1", OURS))),
        ("CPU per call with 5,000 tools against 10", 1.05, 1.0, across(many, few, "echo64_c16")),
        ("CPU per 1 MiB result against nginx", 2, 1.2, ratio(base.cpu("big1m_c1", OURS), base.cpu("big1m_c1", NGINX))),
        ("CPU per call, 2026-07-28 against initialize", 1.15, 1.0, across(modern, base, "echo64_c16")),
        ("idle memory with SQLite, MiB", 32, 16, ours.get("rss_idle")),
        ("memory per idle session with open connection, KiB", 25, 18, kib_per_session(ours)),
        ("cold start to the first list of 200 tools, against floor@work", 4, 1.6, ratio(ours.get("cold_ms"), base.extra.get(FLOOR, {}).get("cold_ms"))),
    ]


def verdict(gate, goal, measured):
    if measured is None:
        return "not measured"
    reached = (lambda bound: measured <= bound) if gate > goal else (lambda bound: measured >= bound)
    return "goal" if reached(goal) else "gate" if reached(gate) else "BELOW THE GATE"


def show(rows):
    number = lambda x: "-" if x is None else f"{x:.3g}" if x < 100 else f"{x:.0f}"
    print("| Figure | Gate | Goal | Measured | |\n|---|---|---|---|---|")
    for figure, gate, goal, measured in rows:
        print(f"| {figure} | {number(gate)} | {number(goal)} | {number(measured)} | {verdict(gate, goal, measured)} |")


def build(harness, cache):
    """The harness's own programs; built once, kept in the cache."""
    given = os.environ.get("MCPBENCH_BIN")
    for folder in filter(None, [given and pathlib.Path(given), harness / "target/release", cache / "release"]):
        if all((folder / name).is_file() for name in ("upstream", "load", "floor")):
            return folder
    command = ["cargo", "build", "--release", "--locked", "--package", "mcpbench", "--manifest-path", str(harness / "Cargo.toml"), "--target-dir", str(cache)]
    subprocess.run(command, check=True)
    return cache / "release"


def measure(scripts, programs, work, name, targets, *args):
    file = work / f"{name}.json"
    command = [sys.executable, str(scripts / "run.py"), "--bin", str(programs), "--pin", "one", "--json", str(file), *map(str, args), *targets]
    print(f"\n# {name}: {' '.join(command[2:])}", file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=sys.stderr)
    return Run(json.loads(file.read_text()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("harness", type=pathlib.Path, help="folder of the harness")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "bailiwick/mcpbench")
    parser.add_argument("--report", action="store_true", help="only wrong answers fail: for short runs on a busy machine")
    parser.add_argument("--json", type=pathlib.Path, help="folder that keeps the raw figures")
    args = parser.parse_args()
    program = os.environ.get("BAILIWICK") or shutil.which("bailiwick")
    if not program or not os.access(program, os.X_OK):
        sys.exit("gates: set BAILIWICK to the program, built in release mode")
    os.environ["BAILIWICK"] = os.path.abspath(program)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # idle sessions: two descriptors each on this machine
    programs = build(args.harness.resolve(), args.cache)
    with tempfile.TemporaryDirectory(prefix="bailiwick-gates-") as folder:
        work = pathlib.Path(folder)
        shutil.copy(args.harness / "run.py", work)
        shutil.copytree(args.harness / "adapters", work / "adapters")
        shutil.copy(HERE / "adapter/bailiwick.py", work / "adapters")
        kept = args.json or work
        kept.mkdir(parents=True, exist_ok=True)
        time = ("--rounds", args.rounds, "--seconds", args.seconds)
        run = lambda name, targets, *more: measure(work, programs, kept, name, targets, *time, *more)
        base = run("base", [NGINX, FLOOR, OURS, WRITE], "--cells", "echo64_c1,echo64_c16,list_c1,big1m_c1", "--cold", 5, "--idle", IDLE_SESSIONS)
        modern = run("modern", [NGINX, OURS], "--era", "modern", "--cells", "echo64_c16", "--cold", 0)
        many = run("many", [NGINX, OURS], "--tools", 5000, "--upstreams", 5, "--cells", "list_c1,echo64_c16", "--cold", 0)
        few = run("few", [NGINX, OURS], "--tools", 10, "--cells", "echo64_c16", "--cold", 0)
    rows = table(base, modern, many, few)
    show(rows)
    wrong = [line for each in (base, modern, many, few) for line in each.wrong()]
    for line in wrong:
        print(f"wrong answers: {line}")
    sys.exit(1 if wrong or not args.report and any(verdict(*row[1:]) in ("BELOW THE GATE", "not measured") for row in rows) else 0)


if __name__ == "__main__":
    main()
