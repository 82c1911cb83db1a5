#!/usr/bin/env python3
"""Runs the interoperability checks; `run.sh` installs what they need. Standard library only."""
import argparse
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile

import upstreams
from report import Report

HERE = pathlib.Path(__file__).resolve().parent
MODERN, LEGACY = "2026-07-28", "2025-11-25"
CLIENT_SECONDS = 120


def clients(cache):
    """(label, command line without the plan, era, revision) of every client."""
    python = lambda version, script: [cache / f"python-{version}/bin/python", HERE / "clients" / script]
    node = lambda script: ["node", cache / "node" / script]
    rmcp = [cache / "rmcp/debug/bailiwick-interop-rmcp"]
    return [
        ("python mcp 2.3.0, modern", python("2.3.0", "python_v2.py"), "modern", MODERN),
        ("python mcp 2.3.0, auto", python("2.3.0", "python_v2.py"), "auto", MODERN),
        ("python mcp 2.3.0, legacy", python("2.3.0", "python_v2.py"), "legacy", LEGACY),
        ("python mcp 1.30.0", python("1.30.0", "python_v1.py"), "legacy", LEGACY),
        ("typescript client 2.4.0, modern", node("typescript_v2.mjs"), "modern", MODERN),
        ("typescript client 2.4.0, auto", node("typescript_v2.mjs"), "auto", MODERN),
        ("typescript client 2.4.0, legacy", node("typescript_v2.mjs"), "legacy", LEGACY),
        ("typescript sdk 1.32.2", node("typescript_v1.mjs"), "legacy", LEGACY),
        ("rmcp 3.9.0, modern", rmcp, "modern", MODERN),
        ("rmcp 3.9.0, auto", rmcp, "auto", MODERN),
        ("rmcp 3.9.0, legacy", rmcp, "legacy", LEGACY),
    ]


def research_world(work):
    """Two agents' files, a way out of the directory, and the database of one of them."""
    mine = work / "files/agents/research-01"
    (mine / "notes").mkdir(parents=True)
    (mine / "notes/plan.txt").write_text("Read the papers.\nCompare the figures.\n")
    (mine / "readme.txt").write_text("Grüße\n")
    (mine / "way-out").symlink_to("../research-02")
    (work / "files/agents/research-02").mkdir()
    (work / "files/agents/research-02/secret.txt").write_text("not for research-01\n")
    databases = work / "databases"
    databases.mkdir(mode=0o700)
    file = databases / "agent_research-01.db"
    with sqlite3.connect(file) as db:
        db.execute("CREATE TABLE papers (title TEXT, year INTEGER)")
        db.executemany("INSERT INTO papers VALUES (?, ?)", [("On leases", 1989), ("On capabilities", 1966)])
    db.close()
    file.chmod(0o600)


def research_steps():
    escape = ["path_refused", "scope_violation"]
    statement = ["sql_refused", "scope_violation"]
    read, query = "filesystem_read_file", "sqlite_query"
    papers = [{"title": "On capabilities", "year": 1966}, {"title": "On leases", "year": 1989}]
    return [
        {"tool": "filesystem_list_dir", "structured": {"result": ["notes", "readme.txt", "way-out"]}},
        {"tool": "filesystem_list_dir", "arguments": {"path": "notes"}, "structured": {"result": ["plan.txt"]}},
        {"tool": read, "arguments": {"path": "notes/plan.txt"}, "text": "Read the papers.\nCompare the figures.\n"},
        {"tool": read, "arguments": {"path": "readme.txt"}, "text": "Grüße\n"},
        {"tool": "sqlite_list_tables", "structured": {"result": ["papers"]}},
        {"tool": query, "arguments": {"sql": "SELECT title, year FROM papers ORDER BY year"}, "structured": {"result": papers}},
        {"tool": read, "arguments": {"path": "../research-02/secret.txt"}, "refused": escape},
        {"tool": read, "arguments": {"path": "no/../../research-02/secret.txt"}, "refused": escape},
        {"tool": read, "arguments": {"path": "way-out/secret.txt"}, "refused": escape},
        {"tool": read, "arguments": {"path": "/etc/hostname"}, "refused": escape},
        {"tool": query, "arguments": {"sql": "DELETE FROM papers"}, "refused": statement},
        {"tool": query, "arguments": {"sql": "ATTACH DATABASE 'other.db' AS other"}, "refused": statement},
        {"tool": read, "arguments": {"path": "readme.txt"}, "text": "Grüße\n"},
        {"tool": "filesystem_write_file", "arguments": {"path": "x", "content": "x"}, "unknown": True},
        {"tool": "no_such_tool", "unknown": True},
    ]


def research_plan(program, work):
    research_world(work)
    return {
        "command": str(program),
        "args": ["run", "--manifest", str(HERE / "research-agent.yml")],
        "env": {
            "AGENT_ID": "research-01", "AGENT_TYPE": "research", "BAILIWICK_INTEROP_DIR": str(work),
            "HOME": str(work), "XDG_STATE_HOME": str(work / "state"),
        },
        "tools": ["filesystem_list_dir", "filesystem_read_file", "sqlite_list_tables", "sqlite_query"],
        "steps": research_steps(),
    }


def proof_plan(cache, work):
    """The same clients against a published server of the initialize era: shows that the clients themselves work."""
    tools = upstreams.EVERYTHING_TOOLS + ["simulate-research-query"]
    weather = {"temperature": 36, "conditions": "Light rain / drizzle", "humidity": 82}
    return {
        "command": str(cache / "node/node_modules/.bin/mcp-server-everything"), "args": ["stdio"], "env": {"HOME": str(work)},
        "tools": sorted(tools),
        "steps": [
            {"tool": "echo", "arguments": {"message": "hello"}, "text": "Echo: hello"},
            {"tool": "get-structured-content", "arguments": {"location": "Chicago"}, "structured": weather},
        ],
    }


def run_clients(report, cache, work, plan, only=lambda era: True, revision=lambda wanted: wanted):
    for number, (label, command, era, wanted) in enumerate(clients(cache)):
        if not only(era):
            continue
        file = work / f"plan-{number}.json"
        file.write_text(json.dumps({**plan, "label": label, "era": era, "revision": revision(wanted)}))
        try:
            done = subprocess.run([*map(str, command), str(file)], capture_output=True, text=True, timeout=CLIENT_SECONDS, cwd=work)
        except subprocess.TimeoutExpired:
            report.failed(label, f"no end within {CLIENT_SECONDS} s")
            continue
        lines = [line for line in done.stdout.splitlines() if line.startswith(("ok", "failed"))]
        if done.returncode == 0 and lines and lines[-1].startswith("ok"):
            report.ok(lines[-1].removeprefix("ok").strip())
        else:
            why = lines[-1].removeprefix("failed").strip() if lines else f"exit code {done.returncode}"
            report.failed(label, why.removeprefix(f"{label}: "), done.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["clients", "upstreams", "proof", []], default=[])
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    args = parser.parse_args()
    parts = args.parts or ["clients", "upstreams"]
    program = os.environ.get("BAILIWICK", "")
    if parts != ["proof"] and not os.access(program, os.X_OK):
        sys.exit(f"interop: BAILIWICK={program!r} is not a program")
    program = program and os.path.abspath(program)
    report = Report()
    for part in parts:
        with tempfile.TemporaryDirectory(prefix="bailiwick-interop-") as folder:
            work = pathlib.Path(folder)
            if part == "clients":
                run_clients(report, args.cache, work, research_plan(program, work))
            elif part == "proof":
                plan = proof_plan(args.cache, work)
                run_clients(report, args.cache, work, plan, lambda era: era != "modern", lambda wanted: LEGACY)
            else:
                upstreams.check(report, program, args.cache / "node/node_modules/.bin", work)
    sys.exit(report.close())


if __name__ == "__main__":
    main()
