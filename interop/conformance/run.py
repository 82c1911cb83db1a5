#!/usr/bin/env python3
"""Runs the official MCP conformance suite against the gateway, the fixture or any URL. Standard library only.

    run.py --direct                             the fixture alone, then the client SDK alone: shows that both are faultless
    run.py --gateway PROGRAM                    the gateway between suite and fixture, then between client SDK and suite
    run.py --url URL --set 2026-07-28           a server that runs already

    server, client       only this leg
    --set SET            only this requirement set: 2025-11-25, 2026-07-28
    --fixture ERA        only fixtures of this era: legacy, modern, both
    --scenario NAME      only this scenario
    --client-era ERA     the client SDK speaks this era, whatever the scenario's revision (client leg with --gateway)
    --expected FILE      JSON: {"LEG SET [ERA]": {"SCENARIO:CHECK" or "SCENARIO": "reason"}}; default: expected.json with --gateway
    --keep DIR           where results and logs are kept

One line for each scenario: scored or not, checks passed and failed. A failure that is expected counts as passed, an expectation that
is not met any more as failed. On the client leg a warning is a failure, as the suite has it. Exit code 0 only when nothing failed.
Installs the suite, the SDKs and Node.js 22 once, in BAILIWICK_INTEROP_CACHE (default: ~/.cache/bailiwick/interop).
"""
import argparse
import collections
import contextlib
import filecmp
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from gateway import gateway
from report import Report
from upstreams import free_port, process, wait_until

SETS = {"2025-11-25": "legacy", "2026-07-28": "modern"}
ERAS = ("legacy", "modern", "both")
INSTALL_SECONDS = 600
LEG_SECONDS = 600
SCENARIO_SECONDS = 60
END_SECONDS = 20
MESSAGE_MAX = 600
FAILED = {"server": {"FAILURE"}, "client": {"FAILURE", "WARNING"}}
STAMP = re.compile(r"-\d{4}-\d\d-\d\dT[\d-]+Z$")

Check = collections.namedtuple("Check", "id status message")
Wanted = collections.namedtuple("Wanted", "scenario scored")


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    tools = install(cache_folder())
    report = Report()
    with kept(args.keep) as out:
        for leg in args.legs or ["server", "client"]:
            for run in {"server": server_runs, "client": client_runs}[leg](args):
                run_one(report, tools, args, leg, run, out)
    sys.exit(report.close())


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("legs", nargs="*", choices=["server", "client", []], default=[])
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--direct", action="store_true")
    target.add_argument("--gateway", type=os.path.abspath)
    target.add_argument("--url")
    parser.add_argument("--set", dest="sets", action="append", choices=SETS)
    parser.add_argument("--fixture", dest="fixtures", action="append", choices=ERAS)
    parser.add_argument("--scenario", dest="scenarios", action="append")
    parser.add_argument("--client-era", choices=["legacy", "modern"])
    parser.add_argument("--expected", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    args = parser.parse_args()
    if args.url:
        args.legs = ["server"]
    if args.gateway and not os.access(args.gateway, os.X_OK):
        parser.error(f"{args.gateway} is not a program")
    file = args.expected or (HERE / "expected.json" if args.gateway else None)
    args.expectations = json.loads(file.read_text()) if file else {}
    return args


@contextlib.contextmanager
def kept(folder):
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="bailiwick-conformance-") as temporary:
            yield pathlib.Path(temporary)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()


# What is installed


def cache_folder():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("BAILIWICK_INTEROP_CACHE") or f"{home}/bailiwick/interop") / "conformance"


def install(folder):
    """Gives the paths of Node.js, of the suite and of our modules, which must stand beside what they import."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, complete = "package-lock.json", folder / "complete"
    same = (folder / lock).exists() and filecmp.cmp(HERE / lock, folder / lock, shallow=False)
    if not (same and complete.exists()):
        complete.unlink(missing_ok=True)
        for name in ("package.json", lock):
            shutil.copy(HERE / name, folder)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        if done.returncode != 0:
            sys.exit(f"conformance: npm ci failed\n{done.stderr[-2000:]}")
        complete.touch()
    for module in HERE.glob("*.mjs"):
        shutil.copy(module, folder)
    suite = folder / "node_modules/@modelcontextprotocol/conformance"
    if not (folder / "node_modules/node/bin/node").exists():
        sys.exit(f"conformance: Node.js is missing in {folder}; its package needs its install script")
    return argparse.Namespace(
        node=folder / "node_modules/node/bin/node", suite=suite / "dist/index.js", requirements=suite / "requirements",
        fixture=folder / "fixture.mjs", modules=folder,
    )


def required(tools, args, leg, revision):
    """The scenarios of a requirement set, scored ones first. About sign-in (`auth/...`) only a gateway is tested: the client has none."""
    lists, section = {"server": [], "client": [], "not_scored": []}, None
    for line in (tools.requirements / f"{revision}.yaml").read_text().splitlines():
        if line.rstrip(":") in lists and line.endswith(":"):
            section = line[:-1]
        elif found := re.match(r"  - (?:scenario: )?(\S+)$", line):
            lists[section].append([found[1], section])
        elif found := re.match(r"    leg: (\S+)$", line):
            lists[section][-1][1] = found[1]
    wanted = [Wanted(name, True) for name, _ in lists[leg]] + [Wanted(name, False) for name, of in lists["not_scored"] if of == leg]
    return [want for want in wanted if args.gateway or not want.scenario.startswith("auth/")]


# What is run


def server_runs(args):
    """(requirement set, era of the fixture). Without a gateway between them the fixture must speak the set's era."""
    sets = args.sets or list(SETS)
    if args.url:
        return [(revision, None) for revision in sets]
    fixtures = args.fixtures or (ERAS if args.direct else ("legacy", "modern"))
    return [(revision, era) for revision in sets for era in fixtures if args.gateway or era in (SETS[revision], "both")]


def client_runs(args):
    return [(revision, args.client_era) for revision in args.sets or SETS]


def run_one(report, tools, args, leg, run, out):
    revision, era = run
    label = " ".join(filter(None, [leg, revision, era]))
    wanted = [want for want in required(tools, args, leg, revision) if not args.scenarios or want.scenario in args.scenarios]
    if not wanted:
        return
    work = out / label.replace(" ", "-")
    shutil.rmtree(work, ignore_errors=True)
    (work / "results").mkdir(parents=True)
    print(f"\n{label}: {len(wanted)} scenarios", flush=True)
    try:
        if leg == "server":
            extra = run_server_leg(tools, args, revision, era, wanted, work)
        else:
            extra = run_client_leg(tools, args, revision, wanted, work)
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        return report.failed(label, str(error))
    judge(report, leg, label, wanted, collect(work / "results", leg, extra), expected(args, leg, revision, label))


def expected(args, leg, revision, label):
    """What is written for a leg and set holds in every era."""
    return {**args.expectations.get(f"{leg} {revision}", {}), **args.expectations.get(label, {})}


@contextlib.contextmanager
def server_under_test(tools, args, era, work):
    if args.url:
        yield args.url
        return
    port, log = free_port(), work / "fixture.log"
    command = [tools.node, tools.fixture, "--era", era, "--port", port]
    with process(command, log, {"PATH": os.environ["PATH"]}, work) as child:
        wait_until(lambda: accepts(port), child, "the fixture", log)
        url = f"http://127.0.0.1:{port}/mcp"
        if args.direct:
            yield url
        else:
            with gateway(args.gateway, url, work) as through:
                yield through


def accepts(port):
    with socket.create_connection(("127.0.0.1", port), timeout=5):
        return True


def run_server_leg(tools, args, revision, era, wanted, work):
    with server_under_test(tools, args, era, work) as url:
        base = ["server", "--url", url, "--output-dir", work / "results"]
        if not args.scenarios:
            suite(tools, [*base, "--requirements", revision], work, LEG_SECONDS)
        else:
            for want in wanted:
                suite(tools, [*base, "--scenario", want.scenario, "--spec-version", revision, "--force"], work, SCENARIO_SECONDS)
    return {}


def run_client_leg(tools, args, revision, wanted, work):
    """One scenario after the other: side by side they would miss the times that some of them measure."""
    extra = {}
    for want in wanted:
        name = want.scenario.replace("/", "-")
        command = [sys.executable, HERE / "driver.py", "--node", tools.node, "--modules", tools.modules, "--end", work / f"{name}.end"]
        if args.gateway:
            command += ["--gateway", args.gateway, "--log", work / f"{name}.gateway.log"]
        line = " ".join(shlex.quote(str(part)) for part in command)
        env = {"CONFORMANCE_CLIENT_ERA": args.client_era} if args.client_era else {}
        code = suite(
            tools, ["client", "--command", line, "--scenario", want.scenario, "--spec-version", revision, "--force", "--output-dir", work / "results"],
            work, SCENARIO_SECONDS, env,
        )
        if code != 0:
            extra[want.scenario] = f"the suite ended with {code}"
        elif not ended_well(work / f"{name}.end"):
            extra[want.scenario] = "the driver failed"
    return extra


def ended_well(end):
    """Where a client may refuse, the suite does not ask how its command ended; ours fails when it is refused for another reason."""
    return end.exists() and end.read_text() == "0"


def suite(tools, arguments, work, seconds, env={}):
    """Runs the suite in a process group of its own and gives its exit code."""
    log = work / "suite.log"
    with open(log, "ab") as out:
        command = [str(part) for part in (tools.node, tools.suite, *arguments)]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, **env}, start_new_session=True)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            return f"no end within {seconds} s"
        finally:
            end_group(child)


def end_group(child):
    """Ends what still runs of the group; a driver first ends the gateway it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + END_SECONDS
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
            while time.monotonic() < end:
                child.poll()
                os.killpg(child.pid, 0)
                time.sleep(0.05)


# What came out


def collect(results, leg, extra):
    """scenario -> its checks. The folders are called `[server-]SCENARIO-TIMESTAMP`; a scenario may have a slash in its name."""
    checks = {}
    for file in sorted(results.glob("**/checks.json")):
        name = STAMP.sub("", str(file.parent.relative_to(results)))
        scenario = name.removeprefix("server-") if leg == "server" else name
        checks[scenario] = [Check(c["id"], c["status"], text_of(c)) for c in json.loads(file.read_text())]
    for scenario, why in extra.items():
        found = checks.setdefault(scenario, [])
        explained = any(check.status in FAILED[leg] for check in found)
        found.append(Check("driver", "INFO" if explained else "FAILURE", f"{why}: {last_words(results, scenario)}"))
    return checks


def text_of(check):
    return " ".join((check.get("errorMessage") or check.get("description") or "").split())


def last_words(results, scenario):
    for file in results.glob(f"{scenario}-*/stderr.txt"):
        lines = [line.strip() for line in file.read_text(errors="replace").splitlines() if line.strip()]
        return next((line for line in lines if "Error" in line or line.startswith("driver:")), lines[-1] if lines else "no output")
    return "no output"


def judge(report, leg, label, wanted, checks, expected):
    unmet = dict(expected)
    for want in wanted:
        found = checks.get(want.scenario, [Check("result", "FAILURE", "the suite left no result")])
        failures = [check for check in found if check.status in FAILED[leg]]
        known = [check for check in failures if reason(expected, want.scenario, check)]
        for check in known:
            unmet.pop(f"{want.scenario}:{check.id}", None)
            unmet.pop(want.scenario, None)
        row = f"{'scored  ' if want.scored else 'unscored'} {want.scenario:<46} {passed(found):>3} passed {len(failures):>3} failed"
        unknown = [check.id for check in failures if check not in known]
        if unknown:
            report.failed(row, ", ".join(sorted(set(unknown))))
        else:
            report.ok(row + ("  expected" if known else ""))
        show(found, failures, known, expected, want)
    names = {want.scenario for want in wanted}
    for entry in sorted(entry for entry in unmet if entry.split(":")[0] in names):
        report.failed(f"{label}: {entry}", "is expected to fail and does not")
    print(f"{label}: {totals(leg, wanted, checks, True)}; {totals(leg, wanted, checks, False)}", flush=True)


def reason(expected, scenario, check):
    return expected.get(f"{scenario}:{check.id}") or expected.get(scenario)


def passed(checks):
    return sum(check.status == "SUCCESS" for check in checks)


def show(found, failures, known, expected, want):
    """Why a check failed or why that is expected, the warnings, which count on the client leg only, and what the driver said."""
    for check in found:
        if check in known:
            print(f"        | expected {check.id}: {reason(expected, want.scenario, check)}", flush=True)
        elif check in failures or check.status == "WARNING" or check.id == "driver":
            print(f"        | {check.status.lower()} {check.id}: {check.message[:MESSAGE_MAX]}", flush=True)


def totals(leg, wanted, checks, scored):
    names = [want.scenario for want in wanted if want.scored == scored]
    found = [check for name in names for check in checks.get(name, [])]
    bad = sum(check.status in FAILED[leg] for check in found)
    return f"{len(names)} {'scored' if scored else 'unscored'} scenarios, {passed(found)} checks passed, {bad} failed"


if __name__ == "__main__":
    main()
