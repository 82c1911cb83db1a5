// @modelcontextprotocol/client 2.x over Streamable HTTP, either era. Argument: the plan file.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { main, plan } from "./steps.mjs";

await main(async () => {
  const mode = plan.era === "modern" ? { pin: plan.revision } : "legacy";
  const client = new Client({ name: "matrix", version: "1.0.0" }, { capabilities: { elicitation: {} }, versionNegotiation: { mode } });
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: plan.answer }));
  await client.connect(new StreamableHTTPClientTransport(new URL(plan.url)));
  const fresh = { cacheMode: "refresh" };
  return {
    client,
    revision: () => client.getNegotiatedProtocolVersion(),
    call: (params, options) => client.callTool(params, options),
    list: {
      tools: (params) => client.listTools(params, fresh),
      prompts: (params) => client.listPrompts(params, fresh),
      resources: (params) => client.listResources(params, fresh),
      templates: (params) => client.listResourceTemplates(params, fresh),
    },
    async hears(kind) {
      const method = `notifications/${kind}/list_changed`;
      const told = new Promise((done) => client.setNotificationHandler(method, () => done()));
      if (plan.era === "legacy") return { told, close: async () => client.removeNotificationHandler(method) };
      const stream = await client.listen({ [`${kind}ListChanged`]: true });
      if (!stream.honoredFilter[`${kind}ListChanged`]) throw new Error(`not honoured: ${JSON.stringify(stream.honoredFilter)}`);
      return { told, close: () => stream.close() };
    },
  };
});
