// The people and the agent of a sign-in scenario, behind a gateway whose client towards the scenario's server is what is tested.
//
//   node connect.mjs --gateway BASE URL
//
// The administrator registers URL through the management API; the person begins an authorization, opens what the gateway gives him as a
// browser would, and hands back what came; the agent then calls the server's tool through the gateway with the official client SDK, and
// opens the links that it is given. Nothing here knows OAuth: which server is asked for what is the gateway's part.
// CONFORMANCE_KEY: the key of the administrator's agent. CONFORMANCE_CLIENT_ERA and the suite's variables: see client.mjs.
import assert from "node:assert/strict";
import { parseArgs } from "node:util";
import { Client, ProtocolErrorCode, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const MODERN = "2026-07-28";
const SERVER = "fixture";
const TOOL = "test-tool";
const LISTED_MS = 10_000;
const ANSWER_MS = 10_000;
const PAGES_MAX = 8;
const LINKS_MAX = 4;

const { values, positionals } = parseArgs({ allowPositionals: true, options: { gateway: { type: "string" } } });
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const revision = process.env.MCP_CONFORMANCE_PROTOCOL_VERSION ?? MODERN;
const era = process.env.CONFORMANCE_CLIENT_ERA ?? (revision === MODERN ? "modern" : "legacy");
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? "{}");
const authorization = { authorization: `Bearer ${process.env.CONFORMANCE_KEY}` };
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

// Where the gateway has to refuse, and in which words.
const FOREIGN = /of another authorization server than the one that was asked/;
const REFUSED = {
  "auth/resource-mismatch": { at: "registration", words: /^resource_mismatch: / },
  "auth/metadata-issuer-mismatch": { at: "registration", words: /^issuer_mismatch: / },
  "auth/iss-supported-missing": { at: "callback", words: /does not say which authorization server it is of/ },
  "auth/iss-wrong-issuer": { at: "callback", words: FOREIGN },
  "auth/iss-unexpected": { at: "callback", words: FOREIGN },
  "auth/iss-normalized": { at: "callback", words: FOREIGN },
  "auth/scope-retry-limit": { at: "list", words: /it wants mcp:admin/ },
};

/** The gateway said no. */
class Refusal extends Error {
  constructor(words, code) {
    super(words);
    this.code = code;
  }
}

/** One operation of the management API. */
async function api(method, path, body) {
  const headers = { ...authorization, ...(body && { "content-type": "application/json" }) };
  const request = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(ANSWER_MS) };
  const answer = await fetch(values.gateway + path, request);
  const { data, error } = await answer.json();
  if (error) throw new Refusal(`${error.message}; ${error.hint}`, error.error_code);
  return data;
}

/** What an administrator writes down: the address, and what he was given for a client that he registered by hand. */
function registration() {
  const { client_id, client_secret, issuer } = context;
  const plain = { server_url: positionals[0], display_name: SERVER };
  if (!client_id || !issuer) return plain;
  const endpoints = { oauth_issuer_url: issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token` };
  return { ...plain, registration_mode: "manual", client_id, client_secret, ...endpoints };
}

/** A server that could be set up. */
function active(record) {
  if (record.status !== "active") throw new Refusal(record.status_reason);
  return record;
}

/** A browser: it follows redirects, and keeps the cookies of the gateway, the only one that gives any. */
function browser() {
  const cookies = new Map();
  const ask = async (url, init = {}) => {
    const own = url.startsWith(values.gateway);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = { ...(own && cookie && { cookie }), ...(init.method === "POST" && { origin: values.gateway }) };
    const answer = await fetch(url, { ...init, headers, redirect: "manual", signal: AbortSignal.timeout(ANSWER_MS) });
    for (const line of own ? answer.headers.getSetCookie() : []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    return answer;
  };
  /** Follows `answer` to the page behind it; stops before an address for which `stop` holds and gives that. */
  const follow = async (answer, stop = () => false) => {
    for (let page = 0; page < PAGES_MAX; page++) {
      const to = answer.headers.get("location");
      if (!to) return { status: answer.status, text: await answer.text() };
      await answer.body?.cancel();
      const url = new URL(to, answer.url).href;
      if (stop(url)) return { url };
      answer = await ask(url);
    }
    throw new Error("redirects without end");
  };
  return { ask, follow };
}

/**
 * Does `begin`, which begins an authorization. When the server names another authorization server than before, an administrator looks at it,
 * has the gateway register there as it advises, and it is begun again.
 */
async function begun(id, begin) {
  try {
    return await begin();
  } catch (error) {
    if (!(error instanceof Refusal && /names another authorization server by now/.test(error.message))) throw error;
    active(await api("POST", `/v1/mcp/servers/${id}/retry-setup`));
    return begin();
  }
}

/** The person begins an authorization through the API, and hands back what his browser was sent to the gateway with. */
async function connect(id) {
  const { authorization_url } = await begun(id, () => api("POST", `/v1/mcp/servers/${id}/oauth/start`));
  const { ask, follow } = browser();
  const { url, status } = await follow(await ask(authorization_url), (to) => to.startsWith(values.gateway));
  assert.ok(url, `the authorization server did not send the browser back: status ${status}`);
  const { code, state, iss, error } = Object.fromEntries(new URL(url).searchParams);
  return api("POST", "/v1/mcp/oauth/callback", { code, state, iss, error });
}

/** The person opens a link of the gateway, agrees on the page, and comes back. */
async function open(id, link) {
  const { ask, follow } = browser();
  const opened = await ask(link);
  assert.equal(opened.status, 200, `the page of the link: ${await opened.text()}`);
  const page = await begun(id, async () => {
    const { status, text } = await follow(await ask(link, { method: "POST" }));
    if (status !== 200) throw new Refusal(text);
    return text;
  });
  assert.match(page, /<h1>Connected/);
}

/** Asks for the tools; a connection that the server takes no longer is made anew, once. */
async function discover(id) {
  const list = () => api("POST", `/v1/mcp/servers/${id}/discover`);
  try {
    await list();
  } catch (error) {
    if (error.code !== "needs_authorization") throw error;
    await connect(id);
    await list();
  }
}

/** The agent: lists and calls the tool. What it is given to sign in, the person opens. */
async function callTool(id) {
  const links = [];
  const opened = async (link) => {
    assert.ok(links.push(link) <= LINKS_MAX, "links without end");
    await open(id, link);
  };
  const versionNegotiation = { mode: era === "modern" ? { pin: MODERN } : "legacy" };
  const capabilities = { elicitation: { url: {} } };
  const client = new Client({ name: "bailiwick-conformance", version: "1.0.0" }, { capabilities, versionNegotiation });
  client.setRequestHandler("elicitation/create", async ({ params }) => {
    await opened(params.url);
    return { action: "accept" };
  });
  const endpoint = new URL(`${values.gateway}/mcp/servers/${SERVER}`);
  await client.connect(new StreamableHTTPClientTransport(endpoint, { requestInit: { headers: authorization } }));
  await listed(client);
  const call = () => client.callTool({ name: TOOL, arguments: {} }, { timeout: ANSWER_MS });
  let result;
  while (!result) {
    // In the older era the question comes as an error, and the call is made once more when it has been dealt with.
    result = await call().catch(async (error) => {
      if (error.code !== ProtocolErrorCode.UrlElicitationRequired) throw error;
      for (const { url } of error.data.elicitations) await opened(url);
    });
  }
  const text = result.content[0]?.text;
  if (result.isError) throw new Refusal(`${TOOL}: ${text}`);
  assert.equal(text, "test", `the answer of ${TOOL}`);
  await client.close();
}

async function listed(client) {
  for (const end = Date.now() + LISTED_MS; ; await pause(100)) {
    const { tools } = await client.listTools(undefined, { cacheMode: "refresh" });
    if (tools.some(({ name }) => name === TOOL)) return;
    assert.ok(Date.now() < end, `${TOOL} is not listed: ${JSON.stringify(tools)}`);
  }
}

let at = "registration";
const expected = REFUSED[scenario];
try {
  const { server_id } = active(await api("POST", "/v1/mcp/servers", registration()));
  at = "callback";
  await connect(server_id);
  at = "list";
  await discover(server_id);
  at = "call";
  await callTool(server_id);
  assert.ok(!expected, `the gateway has to refuse at the ${expected?.at}`);
} catch (error) {
  if (!(error instanceof Refusal && expected)) throw error;
  assert.equal(at, expected.at, `refused at another place: ${error.message}`);
  assert.match(error.message, expected.words);
  console.log(`refused at the ${at}: ${error.message}`);
}
process.exit(0);
