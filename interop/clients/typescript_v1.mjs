// @modelcontextprotocol/sdk 1.x over stdio, initialize only. Argument: the plan file.
import { readFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { follow, report } from "./judge.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
await report(plan.label, async () => {
  const client = new Client({ name: "interop", version: "1.0.0" });
  const transport = new StdioClientTransport({ command: plan.command, args: plan.args, env: { ...process.env, ...plan.env } });
  let revision;
  transport.setProtocolVersion = (version) => (revision = version);
  await client.connect(transport);
  try {
    return await follow(plan, client, () => revision);
  } finally {
    await client.close();
  }
});
