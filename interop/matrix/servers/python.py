"""An MCP server on PyPI `mcp` 2.x, both eras. Arguments: NAME, the file that hears what happened, `stdio` or a port."""
import asyncio
import sys
from typing import Annotated

from mcp.server import MCPServer, NotificationOptions
from mcp.server.mcpserver import Context, Elicit, Resolve
from mcp_types import Completion
from pydantic import BaseModel

NAME, OBSERVED, WHERE = sys.argv[1:]
WORDS = ["Ada", "Adele", "Grace"]

server = MCPServer("matrix-python", version="1.0.0", log_level="WARNING")


def observe(what):
    with open(OBSERVED, "a") as file:
        file.write(what + "\n")


@server.tool(structured_output=False)
def echo(message: str) -> str:
    return f"Echo: {message}"


@server.tool(structured_output=False)
async def steps(ctx: Context) -> str:
    for step in (1, 2, 3):
        await ctx.report_progress(step, 3, f"step {step}")
        await asyncio.sleep(0.05)
    return "done"


@server.tool(structured_output=False)
async def wait(ctx: Context) -> str:
    observe("started")
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        observe("cancelled")
        raise
    return "nobody cancelled"


@server.tool(structured_output=False)
async def grow(name: str, ctx: Context) -> str:
    server.add_tool(lambda: f"I am {name}", name=name, description="Added while running", structured_output=False)
    await ctx.notify_tools_changed()
    if ctx.protocol_version < "2026":
        await ctx.session.send_tool_list_changed()
    return f"added {name}"


class Person(BaseModel):
    name: str


async def who() -> Elicit[Person]:
    return Elicit("What is your name?", Person)


@server.tool(structured_output=False)
async def ask(person: Annotated[Person, Resolve(who)]) -> str:
    return f"Hello, {person.name}!"


@server.prompt()
def greet(who: str) -> str:
    return f"Please greet {who} from {NAME}."


@server.resource("note://plan", name="plan", mime_type="text/plain")
def plan() -> str:
    return f"The plan of {NAME}"


@server.resource("item://{id}/text", name="item", mime_type="text/plain")
def item(id: str) -> str:
    return f"Item {id} of {NAME}"


@server.completion()
async def complete(ref, argument, context):
    values = [word for word in WORDS if word.startswith(argument.value)]
    return Completion(values=values, total=len(values), has_more=False)


# `MCPServer` has no parameter for what an initialize connection is told about lists that change.
lowlevel = server._lowlevel_server
options = lowlevel.create_initialization_options
lowlevel.create_initialization_options = lambda *given, **named: options(NotificationOptions(tools_changed=True))

if WHERE == "stdio":
    server.run("stdio")
else:
    server.run("streamable-http", host="127.0.0.1", port=int(WHERE))
