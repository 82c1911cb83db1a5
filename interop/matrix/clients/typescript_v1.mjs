// @modelcontextprotocol/sdk 1.x over Streamable HTTP, initialize only. Argument: the plan file.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  ElicitRequestSchema, ResourceListChangedNotificationSchema, ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { main, plan } from "./steps.mjs";

const CHANGED = { tools: ToolListChangedNotificationSchema, resources: ResourceListChangedNotificationSchema };

/** `fetch` that, once it is told to, breaks the stream of a call off after its first event. */
function cutting(wire) {
  return async (url, init) => {
    const last = new Headers(init?.headers).get("last-event-id");
    const response = await fetch(url, init);
    if (last) wire.returned.push([last, response.status]);
    const events = response.headers.get("content-type")?.startsWith("text/event-stream");
    if (!wire.cut || init?.method !== "POST" || !events) return response;
    wire.cut = false;
    const reader = response.body.getReader();
    const { value } = await reader.read();
    await reader.cancel();
    const first = new ReadableStream({
      start(controller) {
        controller.enqueue(value);
        controller.close();
      },
    });
    return new Response(first, { status: response.status, headers: response.headers });
  };
}

await main(async () => {
  const client = new Client({ name: "matrix", version: "1.0.0" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: plan.answer }));
  const wire = { cut: false, returned: [] };
  const transport = new StreamableHTTPClientTransport(new URL(plan.url), { fetch: cutting(wire) });
  await client.connect(transport);
  return {
    client,
    wire,
    revision: () => transport.protocolVersion,
    call: (params, options) => client.callTool(params, undefined, options),
    list: {
      tools: (params) => client.listTools(params),
      prompts: (params) => client.listPrompts(params),
      resources: (params) => client.listResources(params),
      templates: (params) => client.listResourceTemplates(params),
    },
    async hears(kind) {
      const told = new Promise((done) => client.setNotificationHandler(CHANGED[kind], () => done()));
      return { told, close: async () => client.removeNotificationHandler(`notifications/${kind}/list_changed`) };
    },
  };
});
