"""PyPI `mcp` 1.x over stdio, initialize only. Argument: the plan file."""
import json
import sys
from datetime import timedelta

from judge import follow, report
from mcp import ClientSession, McpError, StdioServerParameters, stdio_client


async def run(plan):
    server = StdioServerParameters(command=plan["command"], args=plan["args"], env=plan["env"])
    async with stdio_client(server) as (read, write), ClientSession(read, write, read_timeout_seconds=timedelta(seconds=30)) as session:
        opened = await session.initialize()

        async def call(name, arguments):
            try:
                result = await session.call_tool(name, arguments)
            except McpError as error:
                return None, (error.error.code, error.error.message)
            return result.model_dump(mode="json", by_alias=True, exclude_none=True), None

        return await follow(plan, opened.protocolVersion, session.list_tools, call)


plan = json.load(open(sys.argv[1]))
sys.exit(report(plan["label"], lambda: run(plan)))
