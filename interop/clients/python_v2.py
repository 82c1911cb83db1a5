"""PyPI `mcp` 2.x over stdio. Argument: the plan file."""
import json
import sys

from judge import follow, report
from mcp import Client, StdioServerParameters
from mcp.shared.exceptions import MCPError


async def run(plan):
    server = StdioServerParameters(command=plan["command"], args=plan["args"], env=plan["env"])
    mode = plan["revision"] if plan["era"] == "modern" else plan["era"]
    async with Client(server, mode=mode, read_timeout_seconds=30) as client:

        async def call(name, arguments):
            try:
                result = await client.call_tool(name, arguments)
            except MCPError as error:
                return None, (error.code, error.message)
            return result.model_dump(mode="json", by_alias=True, exclude_none=True), None

        return await follow(plan, client.protocol_version, client.list_tools, call)


plan = json.load(open(sys.argv[1]))
sys.exit(report(plan["label"], lambda: run(plan)))
