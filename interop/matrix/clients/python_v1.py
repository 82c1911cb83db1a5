"""PyPI `mcp` 1.x over Streamable HTTP, initialize only. Argument: the plan file."""
import asyncio
from datetime import timedelta

import steps
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client
from pydantic import AnyUrl
from steps import require, shown

LISTED = {"tools": ("list_tools", lambda tool: tool.name), "resources": ("list_resources", lambda resource: resource.uri)}


async def everything(listing, member):
    found, cursor = [], None
    while True:
        page = await listing(params=types.PaginatedRequestParams(cursor=cursor))
        found += getattr(page, member)
        if page.nextCursor is None:
            return found
        cursor = page.nextCursor


def text_of(result):
    require(not result.isError, "a result that is no error", result.content)
    return result.content[0].text


async def connect(plan):
    changes = asyncio.Queue()

    async def heard(message):
        method = getattr(getattr(message, "root", None), "method", "")
        if method.endswith("/list_changed"):
            changes.put_nowait(method)

    async def answer(context, params):
        return types.ElicitResult(action="accept", content=plan["answer"])

    options = dict(read_timeout_seconds=timedelta(seconds=30), message_handler=heard, elicitation_callback=answer)
    async with streamable_http_client(plan["url"]) as (read, write, _), ClientSession(read, write, **options) as client:
        opened = await client.initialize()
        name = lambda own: plan["prefix"] + own

        async def open_(part):
            require(opened.protocolVersion == plan["revision"], plan["revision"], opened.protocolVersion)

        async def tools(part):
            names = [tool.name for tool in await everything(client.list_tools, "tools")]
            missing = [own for own in part["has"] if name(own) not in names]
            require(not missing, f"{missing} in the list", names)

        async def call(part):
            text = text_of(await client.call_tool(name(part["tool"]), part["arguments"]))
            require(text == part["text"], part["text"], text)

        async def prompt(part):
            names = [prompt.name for prompt in await everything(client.list_prompts, "prompts")]
            require(name(part["name"]) in names, f"{name(part['name'])} in the list", names)
            text = (await client.get_prompt(name(part["name"]), part["arguments"])).messages[0].content.text
            require(text == part["text"], part["text"], text)

        async def resource(part):
            listed = await everything(client.list_resources, "resources")
            uri = shown(part["uri"], [resource.uri for resource in listed], part["wrapped"])
            text = (await client.read_resource(AnyUrl(uri))).contents[0].text
            require(part["text"] in text, part["text"], text)

        async def template(part):
            listed = await everything(client.list_resource_templates, "resourceTemplates")
            uri = shown(part["uri"], [template.uriTemplate for template in listed], part["wrapped"])
            text = (await client.read_resource(AnyUrl(uri.replace(part["hole"], "7")))).contents[0].text
            require(part["text"] in text, part["text"], text)

        async def completion(part):
            done = await client.complete(types.PromptReference(type="ref/prompt", name=name(part["prompt"])), part["argument"])
            require(done.completion.values == part["values"], part["values"], done.completion.values)

        async def template_completion(part):
            listed = await everything(client.list_resource_templates, "resourceTemplates")
            uri = shown(part["uri"], [template.uriTemplate for template in listed], part["wrapped"])
            done = await client.complete(types.ResourceTemplateReference(type="ref/resource", uri=uri), part["argument"])
            require(done.completion.values == part["values"], part["values"], done.completion.values)

        async def progress(part):
            seen = []

            async def note(progress, total, message):
                seen.append([progress, total])

            text_of(await client.call_tool(name(part["tool"]), part["arguments"], progress_callback=note))
            require(seen == part["progress"], part["progress"], seen)

        async def cancel(part):
            begun, ended = steps.count(plan["observed"], "started"), steps.count(plan["observed"], "cancelled")
            # This SDK gives no handle of a request; its next id is the one that the call gets.
            number = client._request_id
            running = asyncio.create_task(client.call_tool(name(part["tool"]), part["arguments"]))
            await steps.observed(plan["observed"], "started", begun)
            params = types.CancelledNotificationParams(requestId=number, reason="enough")
            await client.send_notification(types.ClientNotification(types.CancelledNotification(params=params)))
            await steps.observed(plan["observed"], "cancelled", ended)
            # An answer that comes while its waiter is being cancelled ends the receiving loop of this SDK.
            await asyncio.wait([running], timeout=2)
            running.cancel()

        async def change(part):
            while not changes.empty():
                changes.get_nowait()

            made = await client.call_tool(name(part["tool"]), part["arguments"])
            require(not made.isError, "a result that is no error", made.content)
            while await asyncio.wait_for(changes.get(), 10) != f"notifications/{part['kind']}/list_changed":
                pass
            listing, key = LISTED[part["kind"]]
            names = [str(key(entry)) for entry in await everything(getattr(client, listing), part["kind"])]
            require(any(new in names for new in part["appears"]), f"one of {part['appears']} in the list", names)

        async def ask(part):
            text = "\n".join(block.text for block in (await client.call_tool(name(part["tool"]), part["arguments"])).content)
            require(part["text"] in text, part["text"], text)

        await steps.run(plan, {
            "open": open_, "tools": tools, "call": call, "prompt": prompt, "resource": resource, "template": template,
            "completion": completion, "template completion": template_completion, "progress": progress, "cancel": cancel,
            "list change": change, "ask": ask,
        })


steps.main(connect)
