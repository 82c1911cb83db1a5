// @modelcontextprotocol/sdk 1.x over Streamable HTTP, initialize only. Argument: the plan file.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  ElicitRequestSchema, ResourceListChangedNotificationSchema, ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { main, plan } from "./steps.mjs";

const CHANGED = { tools: ToolListChangedNotificationSchema, resources: ResourceListChangedNotificationSchema };

await main(async () => {
  const client = new Client({ name: "matrix", version: "1.0.0" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, () => ({ action: "accept", content: plan.answer }));
  const transport = new StreamableHTTPClientTransport(new URL(plan.url));
  await client.connect(transport);
  return {
    client,
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
