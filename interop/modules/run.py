#!/usr/bin/env python3
"""The built-in tool modules against servers that were not written for them. Standard library only.

    run.py --gateway PROGRAM            every module
    run.py --gateway PROGRAM smtp vault only these
    run.py --install                    only install the servers

    --cache DIR   where the servers are installed (default: BAILIWICK_INTEROP_CACHE, else ~/.cache/bailiwick/interop)
    --loose       for another program that reads these manifests: values may come as text alone, refusals in any words
    --keep DIR    where manifests, logs and data are kept

Each module is used through `PROGRAM run --manifest FILE` over stdio, then the server itself is asked what arrived. One line for each check,
`N passed, N failed` at the end. What cannot be had is printed as `skipped: needs ...`; with CI=true it fails. Exit code 0 only when
nothing failed.
"""

import argparse
import importlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import traceback

import install
import kit
from gateway import NoModule

MODULES = [
    "filesystem",
    "sqlite",
    "ntfy",
    "smtp",
    "matrix",
    "slack_webhook",
    "discord_webhook",
    "http_proxy",
    "grafana",
    "influxdb",
    "mcp_proxy",
    "vault",
]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=", ".join(MODULES))
    parser.add_argument("--gateway", type=os.path.abspath)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--cache", type=pathlib.Path, default=install.default_cache())
    parser.add_argument("--loose", action="store_true")
    parser.add_argument("--keep", type=pathlib.Path)
    args = parser.parse_args()
    unknown = set(args.modules) - set(MODULES)
    if unknown:
        parser.error(f"no checks for {', '.join(sorted(unknown))}; there are {', '.join(MODULES)}")
    if not args.install and not (args.gateway and os.access(args.gateway, os.X_OK)):
        parser.error("--gateway must name a program")
    return args


def check(args, report, name):
    checks = importlib.import_module(f"checks.{name}")
    with tempfile.TemporaryDirectory(prefix=f"bailiwick-{name}-") as folder:
        work = pathlib.Path(folder)
        try:
            checks.check(kit.World(args, report, name, work))
        except NoModule:
            report.skipped(name, f"the module {name}, which this program does not have")
        except install.Missing as missing:
            report.skipped(name, str(missing))
        except Exception as error:  # an answer that a check cannot read is a failed check
            report.failed(name, f"{type(error).__name__}: {error}", traceback.format_exc())
        finally:
            if args.keep:
                shutil.copytree(work, args.keep / name, dirs_exist_ok=True, ignore=special)


def special(folder, names):
    """What cannot be copied: sockets and pipes."""
    return [name for name in names if not (path := pathlib.Path(folder, name)).is_symlink() and not path.is_file() and not path.is_dir()]


def install_all(args):
    for name in sorted(file.stem for file in (kit.HERE / "servers").glob("*.py")):
        fetch = getattr(importlib.import_module(f"servers.{name}"), "fetch", None)
        if fetch:
            fetch(args.cache)
            print(f"installed {name}", flush=True)


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    args.cache.mkdir(parents=True, exist_ok=True)
    if args.install:
        return install_all(args)
    report = kit.Skips()
    for name in args.modules or MODULES:
        check(args, report, name)
    sys.exit(report.close())


if __name__ == "__main__":
    main()
