#!/usr/bin/env python3
"""The client that the conformance suite tests: the official client SDK, through a gateway or without one.

    driver.py --node NODE --modules FOLDER [--gateway PROGRAM] [--log FILE] [--end FILE] URL

The suite starts it once for each scenario, with the URL of the scenario's server as last argument. With --gateway it starts
`bailiwick serve` in front of that server and sends the client there; the gateway has ended when the driver ends. In a scenario about
sign-in (`auth/...`) the gateway knows no server yet: who registers it and signs in there is played by connect.mjs.
"""
import argparse
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from gateway import gateway, gateway_with_people

CLIENT_SECONDS = 25


def run_client(args, module, *arguments, **env):
    child = subprocess.Popen([args.node, args.modules / module, *arguments], stdin=subprocess.DEVNULL, env={**os.environ, **env})
    try:
        return child.wait(CLIENT_SECONDS)
    finally:
        child.kill()
        child.wait()


def run_through(args):
    with tempfile.TemporaryDirectory(prefix="bailiwick-conformance-") as folder:
        work = pathlib.Path(folder)
        scenario = os.environ.get("MCP_CONFORMANCE_SCENARIO", "")
        try:
            if scenario.startswith("auth/"):
                with gateway_with_people(args.gateway, scenario, work) as (base, key):
                    return run_client(args, "connect.mjs", "--gateway", base, args.url, CONFORMANCE_KEY=key)
            with gateway(args.gateway, args.url, work) as url:
                return run_client(args, "client.mjs", "--through", url)
        finally:
            if args.log and (work / "bailiwick.log").exists():
                shutil.copy(work / "bailiwick.log", args.log)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--node", required=True)
    parser.add_argument("--modules", required=True, type=pathlib.Path, help="the folder of client.mjs and connect.mjs")
    parser.add_argument("--gateway", type=os.path.abspath)
    parser.add_argument("--log", help="where the gateway's log is kept")
    parser.add_argument("--end", type=pathlib.Path, help="where it is kept how this ended: some scenarios let the suite pass over that")
    parser.add_argument("url")
    args = parser.parse_args()
    # The way out leads through the context managers, so that nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = run_through(args) if args.gateway else run_client(args, "client.mjs", args.url)
        if args.end:
            args.end.write_text(str(code))
        sys.exit(code)
    except (AssertionError, OSError) as error:
        sys.exit(f"driver: {error}")
    except subprocess.TimeoutExpired:
        sys.exit(f"driver: the client did not end within {CLIENT_SECONDS} s")


if __name__ == "__main__":
    main()
