// What the fixture offers: the tools, prompts and resources that the conformance suite asks for by name. Written once for both eras:
// a handler that needs the client returns `inputRequired(...)`, and the SDK makes a request of it on an initialize connection.
import { inputRequired, fromJsonSchema } from "@modelcontextprotocol/server";

const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

export const text = (words) => ({ content: [{ type: "text", text: words }] });
const image = { type: "image", data: PNG, mimeType: "image/png" };
const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const object = (properties = {}, required = Object.keys(properties)) => ({ type: "object", properties, required });
const string = { type: "string" };
const question = (message, schema) => inputRequired.elicit({ message, requestedSchema: schema });
const prompt = (words, maxTokens) =>
  inputRequired.createMessage({ messages: [{ role: "user", content: { type: "text", text: words } }], maxTokens });
const outcome = (words) => (answer) => text(`${words}: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`);
const sampled = (answer) => "content" in answer;

/** Asks one question, then gives what `done` makes of the answer; an answer of the wrong shape is asked for again. */
function asks(key, request, done, fits = (answer) => typeof answer.action === "string") {
  return (args, call) => {
    const answer = call.answers[key];
    if (answer && fits(answer)) return done(answer, call);
    return inputRequired({ inputRequests: { [key]: request(args) } });
  };
}

const asksName = asks(
  "user_name",
  () => question("What is your name?", object({ name: string })),
  (answer) => text(answer.action === "accept" ? `Hello, ${answer.content.name}!` : `No name: ${answer.action}`),
  (answer) => answer.action === "decline" || answer.action === "cancel" || typeof answer.content?.name === "string",
);

/** Like `asks`, with a sealed state; the seal is checked before the handler runs. */
async function confirms(args, call) {
  if (call.state?.waits === "confirm" && call.answers.confirm) return text("state-ok");
  const confirm = question("Please confirm", object({ ok: { type: "boolean" } }));
  return inputRequired({ inputRequests: { confirm }, requestState: await call.seal({ waits: "confirm" }) });
}

async function asksThreeAtOnce(args, call) {
  const { user_name, greeting, client_roots } = call.answers;
  if (call.state && user_name && greeting && client_roots) return text("All three were answered.");
  const inputRequests = {
    user_name: question("What is your name?", object({ name: string })),
    greeting: prompt("Generate a greeting", 50),
    client_roots: inputRequired.listRoots(),
  };
  return inputRequired({ inputRequests, requestState: await call.seal({ waits: "all" }) });
}

async function asksTwice(args, call) {
  const { state, answers } = call;
  if (state?.waits === "step2" && answers.step2) return text(`${state.name} likes ${answers.step2.content?.color}.`);
  if (state?.waits === "step1" && answers.step1) {
    const step2 = question("Step 2: What is your favorite color?", object({ color: string }));
    const next = { waits: "step2", name: answers.step1.content?.name };
    return inputRequired({ inputRequests: { step2 }, requestState: await call.seal(next) });
  }
  const step1 = question("Step 1: What is your name?", object({ name: string }));
  return inputRequired({ inputRequests: { step1 }, requestState: await call.seal({ waits: "step1" }) });
}

/** Asks only for what this client said it can do. */
function asksWhatIsDeclared(args, call) {
  if (Object.keys(call.answers).length > 0) return text("capabilities-ok");
  const inputRequests = {};
  if (call.capabilities.sampling) inputRequests.sample = prompt("What is the capital of France?", 100);
  if (call.capabilities.elicitation) inputRequests.elicit = question("What is your name?", object({ name: string }));
  if (call.capabilities.roots) inputRequests.roots = inputRequired.listRoots();
  return Object.keys(inputRequests).length === 0 ? text("The client can do nothing.") : inputRequired({ inputRequests });
}

async function logs(args, call) {
  await call.log("Tool execution started");
  await pause(50);
  await call.log("Tool processing data");
  await pause(50);
  await call.log("Tool execution completed");
  return text("Logged three messages.");
}

async function progresses(args, call) {
  for (const progress of [0, 50, 100]) {
    if (progress > 0) await pause(50);
    await call.progress(progress, 100);
  }
  return text("Reported progress three times.");
}

/**
 * Ends the stream before the answer; the client comes back for it. Without sessions there is nothing to come back to. It takes long enough
 * that a gateway opens a stream of its own to its client.
 */
async function reconnects(args, call) {
  call.closeStream?.();
  await pause(600);
  return text("Reconnection test completed successfully.");
}

const defaults = object({
  name: { type: "string", description: "User name", default: "John Doe" },
  age: { type: "integer", description: "User age", default: 30 },
  score: { type: "number", description: "User score", default: 95.5 },
  status: { type: "string", description: "User status", enum: ["active", "inactive", "pending"], default: "active" },
  verified: { type: "boolean", description: "Verification status", default: true },
}, []);

const options = ["option1", "option2", "option3"];
const choices = (word) => ["First", "Second", "Third"].map((rank, at) => ({ const: `value${at + 1}`, title: `${rank} ${word}` }));
const enums = object({
  untitledSingle: { type: "string", enum: options },
  titledSingle: { type: "string", oneOf: choices("Option") },
  legacyEnum: { type: "string", enum: ["opt1", "opt2", "opt3"], enumNames: ["Option One", "Option Two", "Option Three"] },
  untitledMulti: { type: "array", items: { type: "string", enum: options } },
  titledMulti: { type: "array", items: { anyOf: choices("Choice") } },
}, []);

const dialect2020 = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  $defs: { address: { $anchor: "addressDef", type: "object", properties: { street: string, city: string } } },
  properties: {
    name: string,
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: string,
    email: string,
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
};

const embedded = { uri: "test://embedded-resource", mimeType: "text/plain", text: "This is an embedded resource content." };
const mixed = { uri: "test://mixed-content-resource", mimeType: "application/json", text: '{"test":"data","value":123}' };
const contact = object({ username: { type: "string", description: "User's response" }, email: { type: "string", description: "User's email address" } });

const tool = (description, run, schema = object()) => ({ description, run, schema, accepts: fromJsonSchema(schema) });

/** name -> {description, schema, accepts, run(args, call)}. The first one takes no arguments; the suite calls it as a sample. */
export const tools = {
  test_simple_text: tool("Answers with one text.", () => text("This is a simple text response for testing.")),
  test_image_content: tool("Answers with an image.", () => ({ content: [image] })),
  test_audio_content: tool("Answers with a sound.", () => ({ content: [{ type: "audio", data: WAV, mimeType: "audio/wav" }] })),
  test_embedded_resource: tool("Answers with a resource.", () => ({ content: [{ type: "resource", resource: embedded }] })),
  test_multiple_content_types: tool("Answers with a text, an image and a resource.", () => ({
    content: [{ type: "text", text: "Multiple content types test:" }, image, { type: "resource", resource: mixed }],
  })),
  test_error_handling: tool("Fails.", () => {
    throw new Error("This tool intentionally returns an error for testing");
  }),
  test_tool_with_logging: tool("Logs three messages.", logs),
  test_logging_tool: tool("Logs three messages.", logs),
  test_tool_with_progress: tool("Reports progress three times.", progresses),
  test_reconnection: tool("Ends the stream before it answers.", reconnects),
  test_sampling: tool(
    "Asks the client's model.",
    asks("sample", (args) => prompt(args.prompt, 100), (answer) => text(`LLM response: ${answer.content?.text ?? ""}`), sampled),
    object({ prompt: string }),
  ),
  test_elicitation: tool(
    "Asks the user.",
    asks("response", (args) => question(args.message, contact), outcome("User response")),
    object({ message: string }),
  ),
  test_elicitation_sep1034_defaults: tool(
    "Asks the user with a default for each field.",
    asks("form", () => question("Please review and update the form fields with defaults", defaults), outcome("Elicitation completed")),
  ),
  test_elicitation_sep1330_enums: tool(
    "Asks the user to choose in five ways.",
    asks("form", () => question("Please select options from the enum fields", enums), outcome("Elicitation completed")),
  ),
  test_streaming_elicitation: tool(
    "Asks the user; nothing but the answer may stand on the stream.",
    asks("response", () => question("Go on?", object({ ok: { type: "boolean" } })), outcome("User response")),
  ),
  test_missing_capability: tool(
    "Needs a client that can sample.",
    asks("sample", () => prompt("Say something.", 100), () => text("Sampled."), sampled),
  ),
  test_input_required_result_elicitation: tool("Asks for a name.", asksName),
  test_input_required_result_sampling: tool(
    "Asks the client's model.",
    asks("capital_question", () => prompt("What is the capital of France?", 100), (answer) => text(answer.content?.text ?? ""), sampled),
  ),
  test_input_required_result_list_roots: tool(
    "Asks for the client's roots.",
    asks("client_roots", () => inputRequired.listRoots(), (answer) => text(`${answer.roots.length} roots`), (answer) => Array.isArray(answer.roots)),
  ),
  test_input_required_result_request_state: tool("Asks with a sealed state.", confirms),
  test_input_required_result_multiple_inputs: tool("Asks for three things at once.", asksThreeAtOnce),
  test_input_required_result_multi_round: tool("Asks twice.", asksTwice),
  test_input_required_result_tampered_state: tool("Asks with a sealed state.", confirms),
  test_input_required_result_capabilities: tool("Asks for what the client can do.", asksWhatIsDeclared),
  test_trigger_tool_change: tool("Says that the tools changed.", (args, call) => {
    call.changed("tools");
    return text("Tools changed.");
  }),
  test_trigger_prompt_change: tool("Says that the prompts changed.", (args, call) => {
    call.changed("prompts");
    return text("Prompts changed.");
  }),
  test_x_mcp_header: tool(
    "Takes one argument that is mirrored in a header.",
    (args) => text(`Region: ${args.region ?? "none"}`),
    object({ region: { type: "string", description: "Where", "x-mcp-header": "Region" }, query: string }, []),
  ),
  json_schema_2020_12_tool: tool("Tool with JSON Schema 2020-12 features", (args) => text(JSON.stringify(args)), dialect2020),
};

const says = (...content) => ({ messages: content.map((block) => ({ role: "user", content: block })) });
const named = (...names) => fromJsonSchema(object(Object.fromEntries(names.map((name) => [name, string]))));
const asksContext = asks(
  "user_context",
  () => question("What context should the prompt use?", object({ context: string })),
  (answer) => says({ type: "text", text: `Use this context: ${answer.content?.context ?? ""}` }),
);

/** name -> {description, accepts, run(args, call)}. */
export const prompts = {
  test_simple_prompt: { description: "One message.", run: () => says({ type: "text", text: "This is a simple prompt for testing." }) },
  test_prompt_with_arguments: {
    description: "One message with two arguments.",
    accepts: named("arg1", "arg2"),
    run: ({ arg1, arg2 }) => says({ type: "text", text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` }),
  },
  test_prompt_with_embedded_resource: {
    description: "A resource and a question about it.",
    accepts: named("resourceUri"),
    run: ({ resourceUri }) =>
      says(
        { type: "resource", resource: { uri: resourceUri, mimeType: "text/plain", text: "Embedded resource content for testing." } },
        { type: "text", text: "Please process the embedded resource above." },
      ),
  },
  test_prompt_with_image: {
    description: "An image and a question about it.",
    run: () => says(image, { type: "text", text: "Please analyze the image above." }),
  },
  test_input_required_result_prompt: { description: "Asks for its context.", run: asksContext },
};

/** What completion offers for an argument of a prompt. */
export const completions = { test_prompt_with_arguments: ["paris", "park", "party"] };

const file = (uri, mimeType, contents) => ({ uri, mimeType, description: `The resource ${uri}.`, contents: { uri, mimeType, ...contents } });

/** name -> {uri, mimeType, description, contents}. */
export const resources = {
  "Static text": file("test://static-text", "text/plain", { text: "This is the content of the static text resource." }),
  "Static binary": file("test://static-binary", "image/png", { blob: PNG }),
  "Watched resource": file("test://watched-resource", "text/plain", { text: "Watched resource content." }),
};

export const template = {
  name: "Template",
  uri: "test://template/{id}/data",
  mimeType: "application/json",
  description: "Data of one identifier.",
  contents: (uri, { id }) => ({ uri, mimeType: "application/json", text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }) }),
};
