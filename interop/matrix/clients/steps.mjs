// What the two TypeScript clients share: the steps, one JSON line each. Both SDK lines have the same methods; where they differ, the
// client gives an adapter: {client, revision(), call(params, options), list: {tools, ...}, hears(kind) -> {told, close()}}; for the step `resume`
// also `wire`, which breaks a stream off.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";

const STEP_MS = 15_000;
const OBSERVED_MS = 8_000;

export const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const name = (own) => plan.prefix + own;

function require(holds, wanted, got) {
  if (!holds) throw new Error(`expected ${wanted}, got ${JSON.stringify(got)?.slice(0, 400)}`);
}

const count = (what) => readFileSync(plan.observed, "utf8").split("\n").filter((line) => line === what).length;

/** Waits until the server has written `what` once more. */
async function observed(what, moreThan) {
  const end = Date.now() + OBSERVED_MS;
  while (count(what) <= moreThan) {
    require(Date.now() < end, `the server to see the call ${what}`, `nothing within ${OBSERVED_MS} ms`);
    await pause(20);
  }
}

async function everything(listing, member) {
  const found = [];
  for (let cursor; ; ) {
    const page = await listing(cursor === undefined ? undefined : { cursor });
    found.push(...page[member]);
    cursor = page.nextCursor;
    if (cursor === undefined) return found;
  }
}

/** The URI under which the endpoint lists the server's own `uri`. */
function shown(part, listed) {
  const found = [part.wrapped, part.uri].find((uri) => listed.includes(uri));
  require(found, `${part.wrapped} or ${part.uri} in the list`, listed);
  return found;
}

function textOf(result) {
  require(!result.isError, "a result that is no error", result.content);
  return result.content.map((block) => block.text).join("\n");
}

export const steps = {
  async open(part, { revision }) {
    require(revision() === plan.revision, plan.revision, revision());
  },
  async tools({ has }, { list }) {
    const names = (await everything(list.tools, "tools")).map((tool) => tool.name);
    const missing = has.filter((own) => !names.includes(name(own)));
    require(missing.length === 0, `${missing} in the list`, names);
  },
  async call({ tool, arguments: given, text }, { call }) {
    const result = await call({ name: name(tool), arguments: given });
    require(textOf(result) === text, text, result);
  },
  async prompt(part, { client, list }) {
    const names = (await everything(list.prompts, "prompts")).map((prompt) => prompt.name);
    require(names.includes(name(part.name)), `${name(part.name)} in the list`, names);
    const got = await client.getPrompt({ name: name(part.name), arguments: part.arguments });
    require(got.messages[0].content.text === part.text, part.text, got);
  },
  async resource(part, { client, list }) {
    const uri = shown(part, (await everything(list.resources, "resources")).map((resource) => resource.uri));
    const got = await client.readResource({ uri });
    require(got.contents[0].text.includes(part.text), part.text, got);
  },
  async template(part, { client, list }) {
    const uri = shown(part, (await everything(list.templates, "resourceTemplates")).map((template) => template.uriTemplate));
    const got = await client.readResource({ uri: uri.replace(part.hole, "7") });
    require(got.contents[0].text.includes(part.text), part.text, got);
  },
  async completion(part, { client }) {
    const done = await client.complete({ ref: { type: "ref/prompt", name: name(part.prompt) }, argument: part.argument });
    require(isDeepStrictEqual(done.completion.values, part.values), part.values, done);
  },
  async "template completion"(part, { client, list }) {
    const uri = shown(part, (await everything(list.templates, "resourceTemplates")).map((template) => template.uriTemplate));
    const done = await client.complete({ ref: { type: "ref/resource", uri }, argument: part.argument });
    require(isDeepStrictEqual(done.completion.values, part.values), part.values, done);
  },
  async progress(part, { call }) {
    const seen = [];
    textOf(await call({ name: name(part.tool), arguments: part.arguments }, { onprogress: ({ progress, total }) => seen.push([progress, total]) }));
    require(isDeepStrictEqual(seen, part.progress), JSON.stringify(part.progress), seen);
  },
  async resume(part, { call, wire }) {
    wire.cut = true;
    const seen = [];
    const result = await call({ name: name(part.tool), arguments: part.arguments }, { onprogress: ({ progress, total }) => seen.push([progress, total]) });
    textOf(result);
    require(!wire.cut, "a stream that could be broken off", wire);
    require(wire.returned.length === 1 && wire.returned[0][1] === 200, "one return with Last-Event-ID", wire.returned);
    require(isDeepStrictEqual(seen, part.progress), JSON.stringify(part.progress), seen);
  },
  async cancel(part, { call }) {
    const [begun, ended] = [count("started"), count("cancelled")];
    const stop = new AbortController();
    const running = call({ name: name(part.tool), arguments: part.arguments }, { signal: stop.signal }).then(
      (result) => ({ result }),
      (error) => ({ error }),
    );
    await observed("started", begun);
    stop.abort("enough");
    await observed("cancelled", ended);
    require((await running).error, "the call to end with an error", await running);
  },
  async "list change"(part, { call, list, hears }) {
    const heard = await hears(part.kind);
    try {
      const made = await call({ name: name(part.tool), arguments: part.arguments });
      require(!made.isError, "a result that is no error", made);
      const told = await Promise.race([heard.told.then(() => true), pause(10_000, false, { ref: false })]);
      require(told, `notifications/${part.kind}/list_changed`, "nothing within 10 s");
      const names = (await everything(list[part.kind], part.kind)).map((entry) => entry.uri ?? entry.name);
      require(part.appears.some((added) => names.includes(added)), `one of ${part.appears} in the list`, names);
    } finally {
      await heard.close();
    }
  },
  async ask(part, { call }) {
    const text = textOf(await call({ name: name(part.tool), arguments: part.arguments }));
    require(text.includes(part.text), part.text, text);
  },
};

const say = (line) => console.log(JSON.stringify(line));

/** `connect` gives the adapter. */
export async function main(connect) {
  let adapter;
  try {
    adapter = await connect();
  } catch (error) {
    say({ step: "open", failed: String(error) });
    process.exit(1);
  }
  for (const [step, part] of Object.entries(plan.steps)) {
    try {
      const late = pause(STEP_MS, undefined, { ref: false }).then(() => Promise.reject(new Error(`no end within ${STEP_MS} ms`)));
      await Promise.race([steps[step](part, adapter), late]);
      say({ step, ok: true });
    } catch (error) {
      say({ step, failed: error.message });
    }
  }
  await adapter.client.close();
  process.exit(0);
}
