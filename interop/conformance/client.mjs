// The calls that a client scenario of the conformance suite waits for, made with the official client SDK.
//
//   node client.mjs [--through] URL
//
// The suite names the scenario, its revision and its data in MCP_CONFORMANCE_SCENARIO, _PROTOCOL_VERSION and _CONTEXT.
// --through: URL is a gateway in front of the scenario's server: wait until it lists the tools, and check what it answers.
// CONFORMANCE_CLIENT_ERA: legacy or modern, when the client shall not speak the revision of the scenario.
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const MODERN = "2026-07-28";
const LISTED_MS = 10_000;
const EMPTY_MS = 1_500;
const CALL_MS = 10_000;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { through: { type: "boolean", default: false } } });
const { through } = values;
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? MODERN;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const era = process.env.CONFORMANCE_CLIENT_ERA ?? (revision === MODERN ? "modern" : "legacy");
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** The form as a user sends it who changes nothing; a truth value without default is confirmed. */
function accept(schema) {
  const filled = Object.entries(schema?.properties ?? {}).map(([name, { type, default: given }]) => [name, given ?? (type === "boolean" ? true : undefined)]);
  return { action: "accept", content: Object.fromEntries(filled.filter(([, value]) => value !== undefined)) };
}

async function connect(answer = accept) {
  const mode = era === "modern" ? { pin: MODERN } : "legacy";
  const client = new Client({ name: "bailiwick-conformance", version: "1.0.0" }, { capabilities: { elicitation: {} }, versionNegotiation: { mode } });
  client.setRequestHandler("elicitation/create", ({ params }) => answer(params.requestedSchema));
  await client.connect(new StreamableHTTPClientTransport(new URL(positionals[0])));
  return client;
}

/** The tools; a gateway may need a moment until the server behind it is there. */
async function listed(client, ...expected) {
  const end = Date.now() + (through ? (expected.length > 0 ? LISTED_MS : EMPTY_MS) : 0);
  for (;;) {
    const { tools } = await client.listTools(undefined, { cacheMode: "refresh" });
    const missing = expected.filter((name) => !tools.some((tool) => tool.name === name));
    if (Date.now() >= end || (missing.length === 0 && expected.length > 0)) {
      assert.deepEqual(missing, [], "tools that are not listed");
      return tools;
    }
    await pause(100);
  }
}

/** Calls a tool; behind a gateway the first text of the answer must be `text`. */
async function call(client, name, args = {}, text) {
  const result = await client.callTool({ name, arguments: args }, { timeout: CALL_MS });
  if (through && text !== undefined) assert.equal(result.content[0]?.text, text, `the answer of ${name}`);
  return result;
}

async function listOnly() {
  const client = await connect();
  await listed(client);
  return client;
}

async function addNumbers() {
  const client = await connect();
  await listed(client, "add_numbers");
  await call(client, "add_numbers", { a: 5, b: 3 }, "The sum of 5 and 3 is 8");
  return client;
}

async function elicitationDefaults() {
  const client = await connect();
  await listed(client, "test_client_elicitation_defaults");
  const answer = { name: "John Doe", age: 30, score: 95.5, status: "active", verified: true };
  const result = await call(client, "test_client_elicitation_defaults");
  if (through) assert.deepEqual(JSON.parse(result.content[0].text.replace("Elicitation completed: ", "")), answer);
  return client;
}

async function sseRetry() {
  const client = await connect();
  await listed(client, "test_reconnection");
  await call(client, "test_reconnection", {}, "Reconnection test completed successfully");
  return client;
}

async function standardHeaders() {
  const client = await connect();
  await listed(client, "test_headers", "my-hyphenated-tool");
  for (const name of ["my-hyphenated-tool", "test_headers"]) await call(client, name, {}, "Headers test completed");
  const { resources } = await client.listResources();
  for (const { uri } of resources) await client.readResource({ uri });
  const { prompts } = await client.listPrompts();
  for (const { name } of prompts) await client.getPrompt({ name });
  assert.deepEqual([resources.length, prompts.length], [2, 1], "resources and prompts");
  return client;
}

async function customHeaders() {
  const client = await connect();
  await listed(client, "test_custom_headers", "test_custom_headers_null");
  for (const { name, arguments: args } of context.toolCalls) await call(client, name, args, "Custom headers test completed");
  return client;
}

const INVALID = [
  "empty_header", "object_header", "array_header", "null_header", "duplicate_same_case", "duplicate_diff_case",
  "space_in_name", "colon_in_name", "non_ascii_name", "control_char_name",
];

/** Behind a gateway the invalid tools are called too: it must neither list them nor pass the calls on. */
async function invalidToolHeaders() {
  const client = await connect();
  const tools = await listed(client, "valid_tool");
  assert.deepEqual(tools.map((tool) => tool.name), ["valid_tool"], "tools that are listed");
  await call(client, "valid_tool", { region: "us-west1" }, "Tool call received");
  for (const name of through ? INVALID : []) await assert.rejects(call(client, `invalid_${name}`, { value: "x" }), `invalid_${name} was called`);
  return client;
}

async function keepsSchema() {
  const client = await connect();
  const tools = await listed(client, "json_schema_2020_12_tool", "json_schema_echo");
  const schema = tools.find((tool) => tool.name === "json_schema_2020_12_tool").inputSchema;
  await call(client, "json_schema_echo", { schema }, "echoed");
  return client;
}

async function listsUnresolvable() {
  const client = await connect();
  await listed(client, ...(through ? [] : ["lookup_user"]));
  return client;
}

/** Another call is made while the first one waits for its answer. */
async function requestState() {
  const client = await connect(async (schema) => {
    await call(client, "test_mrtr_unrelated", {}, "unrelated-ok");
    return accept(schema);
  });
  await listed(client, "test_mrtr_echo_state");
  await call(client, "test_mrtr_echo_state", {}, "echo-state-ok");
  await call(client, "test_mrtr_no_state", {}, "no-state-ok");
  // The SDK refuses a result without `resultType`; a gateway completes it.
  const last = call(client, "test_mrtr_no_result_type", {}, "no-result-type-test-ok");
  await (through ? last : last.catch(() => {}));
  return client;
}

const scenarios = {
  initialize: listOnly,
  tools_call: addNumbers,
  "elicitation-sep1034-client-defaults": elicitationDefaults,
  "sse-retry": sseRetry,
  "request-metadata": listOnly,
  "http-standard-headers": standardHeaders,
  "http-custom-headers": customHeaders,
  "http-invalid-tool-headers": invalidToolHeaders,
  "json-schema-ref-no-deref": listsUnresolvable,
  "json-schema-2020-12-preservation": keepsSchema,
  "sep-2322-client-request-state": requestState,
};

if (!Object.hasOwn(scenarios, scenario ?? "")) throw new Error(`no scenario ${scenario}`);
const client = await scenarios[scenario]();
await client.close();
process.exit(0);
