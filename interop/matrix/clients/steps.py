"""What the two Python clients share: one JSON line for each step, and the watch of what the server observed."""
import asyncio
import json
import sys
import time

STEP_SECONDS = 15
OBSERVED_SECONDS = 8


def require(holds, wanted, got):
    if not holds:
        raise AssertionError(f"expected {wanted}, got {str(got)[:400]}")


def shown(uri, listed, wrapped):
    """The URI under which the endpoint lists the server's own `uri`."""
    names = [str(name) for name in listed]
    found = next((name for name in (wrapped, uri) if name in names), None)
    require(found, f"{wrapped} or {uri} in the list", names)
    return found


def cause(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"


async def observed(path, what, more_than):
    """Waits until the server has written `what` once more."""
    end = time.monotonic() + OBSERVED_SECONDS
    while count(path, what) <= more_than:
        require(time.monotonic() < end, f"the server to see the call {what}", f"nothing within {OBSERVED_SECONDS} s")
        await asyncio.sleep(0.02)


def count(path, what):
    with open(path) as file:
        return file.read().split("\n").count(what)


async def run(plan, steps):
    """`steps`: name -> coroutine function of the step's part of the plan."""
    for name, part in plan["steps"].items():
        try:
            await asyncio.wait_for(steps[name](part), STEP_SECONDS)
            line = {"step": name, "ok": True}
        except Exception as error:
            line = {"step": name, "failed": str(cause(error))}
        print(json.dumps(line), flush=True)


def main(connect):
    plan = json.load(open(sys.argv[1]))
    try:
        asyncio.run(connect(plan))
    except BaseException as error:
        print(json.dumps({"step": "open", "failed": str(cause(error))}), flush=True)
        sys.exit(1)
