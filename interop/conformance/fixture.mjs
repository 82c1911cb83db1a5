// An MCP server for the conformance suite, on the official TypeScript SDK, over Streamable HTTP on 127.0.0.1.
//
//   node fixture.mjs --era legacy|modern|both --port N     (0: any; the port is printed)
//
// legacy: sessions that open with `initialize`, revisions up to 2025-11-25. modern: 2026-07-28 only. both: one URL for either.
import { randomBytes, randomUUID } from "node:crypto";
import http from "node:http";
import { parseArgs } from "node:util";
import { localhostHostValidation, localhostOriginValidation, NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from "@modelcontextprotocol/node";
import {
  createMcpHandler, createRequestStateCodec, fromJsonSchema, isLegacyRequest, McpServer, ProtocolError, ProtocolErrorCode, ResourceTemplate,
} from "@modelcontextprotocol/server";
import { completions, prompts, resources, template, tools } from "./catalogue.mjs";
import { EXTENSION, taskMethods, taskTools } from "./tasks.mjs";

const LEGACY_REVISIONS = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
const BODY_MAX = 1 << 20;
const SESSIONS_MAX = 200;
const EVENTS_MAX = 1000;
const RETRY_MS = 200;

const states = createRequestStateCodec({ key: randomBytes(32) });
const sessions = new Map();
const anything = fromJsonSchema({ type: "object" });

/** Tells every session and every `subscriptions/listen` stream. */
function changed(kind) {
  for (const { server } of sessions.values()) kind === "tools" ? server.sendToolListChanged() : server.sendPromptListChanged();
  kind === "tools" ? modern.notify.toolsChanged() : modern.notify.promptsChanged();
}

/** What a handler of the catalogue sees of a call. */
function callOf(server, ctx) {
  const { mcpReq } = ctx;
  const token = mcpReq._meta?.progressToken;
  return {
    answers: mcpReq.inputResponses ?? {},
    state: mcpReq.requestState(),
    capabilities: server.server.getClientCapabilities() ?? {},
    seal: (payload) => states.mint(payload, ctx),
    log: (message) => mcpReq.log("info", message),
    progress: async (progress, total) =>
      token !== undefined && mcpReq.notify({ method: "notifications/progress", params: { progressToken: token, progress, total } }),
    closeStream: ctx.http?.closeSSE,
    changed,
  };
}

function capabilities(era) {
  const shared = { tools: { listChanged: true }, prompts: { listChanged: true }, resources: { subscribe: true }, completions: {}, logging: {} };
  return era === "modern" ? { ...shared, extensions: { [EXTENSION]: {} } } : shared;
}

function build(era) {
  const options = { capabilities: capabilities(era), requestState: { verify: states.verify } };
  const server = new McpServer({ name: "bailiwick-conformance-fixture", version: "1.0.0" }, options);
  offerTools(server, era === "modern" ? { ...tools, ...taskTools } : tools);
  offerPrompts(server);
  offerResources(server);
  if (era === "modern") offerTasks(server);
  return server;
}

/** The SDK lists the tools and checks `Mcp-Param-*`; the call is ours, because the SDK turns every error of a handler into a result. */
function offerTools(server, offered) {
  for (const [name, { description, accepts }] of Object.entries(offered)) server.registerTool(name, { description, inputSchema: accepts }, () => {});
  server.server.setRequestHandler("tools/call", async ({ params }, ctx) => {
    const tool = Object.hasOwn(offered, params.name) ? offered[params.name] : undefined;
    if (!tool) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    const { value, issues } = await tool.accepts["~standard"].validate(params.arguments ?? {});
    try {
      if (issues) throw new Error(issues.map((issue) => issue.message).join("; "));
      return await tool.run(value, callOf(server, ctx));
    } catch (error) {
      if (error instanceof ProtocolError) throw error;
      return { content: [{ type: "text", text: error.message }], isError: true };
    }
  });
}

function offerPrompts(server) {
  for (const [name, { description, accepts, run }] of Object.entries(prompts)) {
    const handler = accepts ? (args, ctx) => run(args, callOf(server, ctx)) : (ctx) => run({}, callOf(server, ctx));
    server.registerPrompt(name, { description, argsSchema: accepts }, handler);
  }
  server.server.setRequestHandler("completion/complete", ({ params }) => {
    const values = (completions[params.ref.name] ?? []).filter((value) => value.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
}

function offerResources(server) {
  for (const [name, { uri, mimeType, description, contents }] of Object.entries(resources)) {
    server.registerResource(name, uri, { mimeType, description }, () => ({ contents: [contents] }));
  }
  const { name, uri, mimeType, description, contents } = template;
  const pattern = new ResourceTemplate(uri, { list: undefined });
  server.registerResource(name, pattern, { mimeType, description }, (url, variables) => ({ contents: [contents(url.href, variables)] }));
  server.server.setRequestHandler("resources/subscribe", () => ({}));
  server.server.setRequestHandler("resources/unsubscribe", () => ({}));
}

function offerTasks(server) {
  for (const [method, run] of Object.entries(taskMethods)) {
    server.server.setRequestHandler(method, { params: anything }, (params, ctx) => run(params, callOf(server, ctx)));
  }
}

/** The last events of one session, for clients that come back with `Last-Event-ID`. */
class Events {
  #events = new Map();

  async storeEvent(stream, message) {
    const id = randomUUID();
    this.#events.set(id, { stream, message });
    if (this.#events.size > EVENTS_MAX) this.#events.delete(this.#events.keys().next().value);
    return id;
  }

  async getStreamIdForEventId(id) {
    return this.#events.get(id)?.stream;
  }

  async replayEventsAfter(last, { send }) {
    const stream = this.#events.get(last)?.stream;
    let passed = false;
    for (const [id, event] of this.#events) {
      if (passed && event.stream === stream && Object.keys(event.message).length > 0) await send(id, event.message);
      passed ||= id === last;
    }
    return stream;
  }
}

function refuse(res, status, code, message) {
  res.writeHead(status, { "content-type": "application/json" });
  res.end(JSON.stringify({ jsonrpc: "2.0", error: { code, message }, id: null }));
}

async function openSession() {
  if (sessions.size >= SESSIONS_MAX) await sessions.values().next().value.transport.close();
  const server = build("legacy");
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => void sessions.set(id, { transport, server }),
    eventStore: new Events(),
    retryInterval: RETRY_MS,
    supportedProtocolVersions: LEGACY_REVISIONS,
  });
  transport.onclose = () => sessions.delete(transport.sessionId);
  await server.connect(transport);
  return transport;
}

/** As servers before 2026-07-28 answer: without a session only `initialize`, an unknown session is gone. */
async function serveLegacy(req, res, body) {
  const id = req.headers["mcp-session-id"];
  if (id !== undefined && !sessions.has(id)) return refuse(res, 404, -32001, "Session not found");
  if (id === undefined && body?.method !== "initialize") return refuse(res, 400, -32000, "Bad Request: Server not initialized");
  const transport = id === undefined ? await openSession() : sessions.get(id).transport;
  await transport.handleRequest(req, res, body);
}

const modern = createMcpHandler(() => build("modern"), { legacy: "reject" });
const serveModernRequest = toNodeHandler({ fetch: async (...request) => taskAsItIs(await modern.fetch(...request)) });

/** The SDK does not know tasks and puts an empty `content` into what creates one. */
async function taskAsItIs(response) {
  if (!response.headers.get("content-type")?.startsWith("application/json")) return response;
  const answer = await response.json();
  if (answer.result?.resultType === "task") delete answer.result.content;
  return Response.json(answer, { status: response.status });
}

async function serveModern(req, res, body) {
  if (req.method !== "POST") {
    res.writeHead(405, { allow: "POST" });
    return res.end();
  }
  await serveModernRequest(req, res, body);
}

async function serveBoth(req, res, body) {
  const legacy = req.method !== "POST" || (await isLegacyRequest(await toWebRequest(req, body)));
  await (legacy ? serveLegacy : serveModern)(req, res, body);
}

async function bodyOf(req) {
  const parts = [];
  let size = 0;
  for await (const part of req) {
    size += part.length;
    if (size > BODY_MAX) throw new Error(`the body has more than ${BODY_MAX} bytes`);
    parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString());
}

const { values } = parseArgs({ options: { era: { type: "string", default: "both" }, port: { type: "string", default: "0" } } });
const serve = { legacy: serveLegacy, modern: serveModern, both: serveBoth }[values.era];
if (!serve) throw new Error("--era legacy|modern|both");
const hostIsLocal = localhostHostValidation();
const originIsLocal = localhostOriginValidation();

const listener = http.createServer(async (req, res) => {
  if (!hostIsLocal(req, res) || !originIsLocal(req, res)) return;
  if (new URL(req.url, "http://127.0.0.1").pathname !== "/mcp") return refuse(res, 404, -32000, "Not found");
  let body;
  try {
    if (req.method === "POST") body = await bodyOf(req);
  } catch (error) {
    return refuse(res, 400, ProtocolErrorCode.ParseError, `Parse error: ${error.message}`);
  }
  try {
    await serve(req, res, body);
  } catch (error) {
    console.error(error);
    if (!res.headersSent) refuse(res, 500, ProtocolErrorCode.InternalError, "Internal error");
  }
});
listener.listen(Number(values.port), "127.0.0.1", () => console.log(`listening on 127.0.0.1:${listener.address().port}`));
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));
