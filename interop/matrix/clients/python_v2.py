"""PyPI `mcp` 2.x over Streamable HTTP, either era. Argument: the plan file."""
import asyncio

import steps
from mcp import Client
from mcp_types import ElicitResult, PromptReference, ResourceTemplateReference
from steps import require, shown

LISTED = {"tools": ("list_tools", lambda tool: tool.name), "resources": ("list_resources", lambda resource: resource.uri)}


async def everything(listing, member):
    found, cursor = [], None
    while True:
        page = await listing(cursor=cursor, cache_mode="refresh")
        found += getattr(page, member)
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor


def text_of(result):
    require(not result.is_error, "a result that is no error", result.content)
    return result.content[0].text


async def connect(plan):
    changes = asyncio.Queue()

    async def heard(message):
        method = getattr(message, "method", "")
        if method.endswith("/list_changed"):
            changes.put_nowait(method)

    async def answer(context, params):
        return ElicitResult(action="accept", content=plan["answer"])

    mode = plan["revision"] if plan["era"] == "modern" else "legacy"
    options = dict(mode=mode, read_timeout_seconds=30, message_handler=heard, elicitation_callback=answer)
    async with Client(plan["url"], **options) as client:
        name = lambda own: plan["prefix"] + own

        async def open_(part):
            require(client.protocol_version == plan["revision"], plan["revision"], client.protocol_version)

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
            text = (await client.read_resource(uri)).contents[0].text
            require(part["text"] in text, part["text"], text)

        async def template(part):
            listed = await everything(client.list_resource_templates, "resource_templates")
            uri = shown(part["uri"], [template.uri_template for template in listed], part["wrapped"])
            text = (await client.read_resource(uri.replace(part["hole"], "7"))).contents[0].text
            require(part["text"] in text, part["text"], text)

        async def completion(part):
            done = await client.complete(PromptReference(name=name(part["prompt"])), part["argument"])
            require(done.completion.values == part["values"], part["values"], done.completion.values)

        async def template_completion(part):
            listed = await everything(client.list_resource_templates, "resource_templates")
            uri = shown(part["uri"], [template.uri_template for template in listed], part["wrapped"])
            done = await client.complete(ResourceTemplateReference(uri=uri), part["argument"])
            require(done.completion.values == part["values"], part["values"], done.completion.values)

        async def progress(part):
            seen = []

            async def note(progress, total, message):
                seen.append([progress, total])

            text_of(await client.call_tool(name(part["tool"]), part["arguments"], progress_callback=note))
            require(seen == part["progress"], part["progress"], seen)

        async def cancel(part):
            begun, ended = steps.count(plan["observed"], "started"), steps.count(plan["observed"], "cancelled")
            running = asyncio.create_task(client.call_tool(name(part["tool"]), part["arguments"]))
            await steps.observed(plan["observed"], "started", begun)
            running.cancel()
            await steps.observed(plan["observed"], "cancelled", ended)
            require(running.cancelled(), "the call to be cancelled", running)

        async def change(part):
            while not changes.empty():
                changes.get_nowait()

            async def grow(wait):
                made = await client.call_tool(name(part["tool"]), part["arguments"])
                require(not made.is_error, "a result that is no error", made.content)
                await wait()
                listing, key = LISTED[part["kind"]]
                names = [str(key(entry)) for entry in await everything(getattr(client, listing), part["kind"])]
                require(any(new in names for new in part["appears"]), f"one of {part['appears']} in the list", names)

            async def notification():
                while await asyncio.wait_for(changes.get(), 10) != f"notifications/{part['kind']}/list_changed":
                    pass

            if plan["era"] == "legacy":
                return await grow(notification)
            async with client.listen(**{f"{part['kind']}_list_changed": True}) as stream:
                require(getattr(stream.honored, f"{part['kind']}_list_changed"), "the change to be honoured", stream.honored)
                await grow(lambda: asyncio.wait_for(anext(stream), 10))

        async def ask(part):
            text = "\n".join(block.text for block in (await client.call_tool(name(part["tool"]), part["arguments"])).content)
            require(part["text"] in text, part["text"], text)

        await steps.run(plan, {
            "open": open_, "tools": tools, "call": call, "prompt": prompt, "resource": resource, "template": template,
            "completion": completion, "template completion": template_completion, "progress": progress, "cancel": cancel,
            "list change": change, "ask": ask,
        })


steps.main(connect)
