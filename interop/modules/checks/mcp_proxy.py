"""mcp_proxy: published servers, over stdio and HTTP. What the agent sees and gets is what a direct client sees and gets."""

import re
import time

from gateway import Client
from servers import mcp
from upstreams import EVERYTHING_CALLS, PLAIN_TEXT

# Answers that differ from call to call, or that are told in notifications.
SAME = ["echo", "get-sum", "get-tiny-image", "get-structured-content", "get-annotated-message", "get-resource-links"]
JOIN_SECONDS = 60
DENIED = ["toggle-simulated-logging", "get-env"]
# What the gateway declares to a server: some tools are there only for a client that can be asked.
ASKED = {"roots": {}, "sampling": {}, "elicitation": {"form": {}, "url": {}}}
LISTED_KEYS = ("title", "description", "inputSchema", "outputSchema", "annotations")


def check(world):
    bin_dir = mcp.fetch(world.cache)
    everything = bin_dir / "mcp-server-everything"
    canary = world.secret("a variable of the gateway's environment", "canary-4f6b8d0e2a1c3957")
    world.hidden.discard(str(world.work))  # these servers tell their clients where they run
    with Client([everything, "stdio"], world.work / "direct", {}, ASKED) as direct, mcp.started(world.cache, world.work) as url:
        modules = {
            "every": {"type": "mcp_proxy", "config": {"command": str(everything), "args": ["stdio"], "tool_denylist": DENIED}},
            "some": {
                "type": "mcp_proxy",
                "config": {"url": url, "tool_allowlist": ["echo", "get-sum", "get-env"], "tool_denylist": ["get-env"]},
            },
            "env": {
                "type": "mcp_proxy",
                "config": {"command": str(everything), "args": ["stdio"], "env": {"GIVEN": "yes"}, "tool_allowlist": ["get-env"]},
            },
        }
        with world.gateway(modules, {"INTEROP_CANARY": canary}) as gateway:
            expected = {f"every_{plain(name)}" for name in direct.tools if name not in DENIED} | {
                "some_echo",
                "some_get_sum",
                "env_get_env",
            }
            wait_for(gateway, expected)
            world.listed(gateway, *expected)
            for name, tool in direct.tools.items():
                if name not in DENIED:
                    seen = gateway.tools.get(f"every_{plain(name)}", {})
                    lost = [key for key in LISTED_KEYS if seen.get(key) != tool.get(key)]
                    world.check(f"{name} is described as the server does", f"{lost} differ" if lost else None)
            for name in SAME:
                arguments = EVERYTHING_CALLS[name][0]
                own = direct.call(name, **arguments)
                unchanged(world, f"{name} over stdio", gateway.call(f"every_{plain(name)}", **arguments), own)
                if name in ("echo", "get-sum"):
                    unchanged(world, f"{name} over HTTP", gateway.call(f"some_{plain(name)}", **arguments), own)
            packed = {"name": "a.gz", "data": PLAIN_TEXT, "outputType": "resource"}
            own = direct.call("gzip-file-as-resource", **packed)
            # What can be read later is named so that it is read from the right server.
            own.content[0]["resource"]["uri"] = "bailiwick://every/" + own.content[0]["resource"]["uri"]
            unchanged(world, "a binary resource", gateway.call("every_gzip_file_as_resource", **packed), own)
            surroundings = gateway.call("env_get_env").text or ""
            world.check("the server sees what it is given", None if '"GIVEN": "yes"' in surroundings else surroundings[:200])
            world.check("and nothing else of the gateway's", "the variable is there" if canary in surroundings else None)
            for name in ("every_get_env", "every_toggle_simulated_logging", "some_get_env", "some_get_tiny_image", "every_echo_", "echo"):
                world.absent(f"{name} does not exist", gateway.call(name))
    files(world, bin_dir)


def files(world, bin_dir):
    """A server that answers refusals of its own with isError."""
    served = world.work / "served"
    served.mkdir()
    (served / "a.txt").write_text("Grüße\n")
    command = [bin_dir / "mcp-server-filesystem", served]
    config = {"command": str(command[0]), "args": [str(served)], "tool_denylist": ["move_file"]}
    with Client(command, world.work / "direct-files", {}) as direct, world.gateway(
        {"files": {"type": "mcp_proxy", "config": config}}
    ) as gateway:
        wait_for(gateway, {"files_read_text_file"})
        for label, name, arguments in [
            ("a file", "read_text_file", {"path": str(served / "a.txt")}),
            ("a refusal", "read_text_file", {"path": "/etc/hostname"}),
            ("a listing", "list_directory", {"path": str(served)}),
            ("a missing file", "read_text_file", {"path": str(served / "none")}),
        ]:
            unchanged(world, label, gateway.call(f"files_{name}", **arguments), direct.call(name, **arguments))
        gateway.call("files_write_file", path=str(served / "b.txt"), content="written ü\n")
        world.same("a write through the proxy is on the disk", (served / "b.txt").read_text(), "written ü\n")
        world.absent(
            "a denied tool does not exist", gateway.call("files_move_file", source=str(served / "a.txt"), destination=str(served / "c.txt"))
        )


def wait_for(gateway, expected):
    """A server that is slow to start joins the list a moment later."""
    end = time.monotonic() + JOIN_SECONDS
    while not expected <= set(gateway.tools) and time.monotonic() < end:
        time.sleep(0.2)
        gateway.tools = gateway.list_tools()


def plain(name):
    return re.sub(r"[^A-Za-z0-9_]", "_", name)


def unchanged(world, label, got, own):
    fine = got.error is None and (got.content, got.structured, got.is_error) == (own.content, own.structured, own.is_error)
    world.check(f"{label}: unchanged", None if fine else f"expected {own.shown()}, got {got.shown()}")
