// @modelcontextprotocol/client 2.x over stdio. Argument: the plan file.
import { readFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { follow, report } from "./judge.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
await report(plan.label, async () => {
  const mode = plan.era === "modern" ? { pin: plan.revision } : plan.era;
  const client = new Client({ name: "interop", version: "1.0.0" }, { versionNegotiation: { mode } });
  await client.connect(new StdioClientTransport({ command: plan.command, args: plan.args, env: { ...process.env, ...plan.env } }));
  try {
    return await follow(plan, client, () => client.getNegotiatedProtocolVersion());
  } finally {
    await client.close();
  }
});
