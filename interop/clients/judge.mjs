// Checks one answer against the plan. The same four checks stand in judge.py and in rmcp/src/main.rs.
import { isDeepStrictEqual } from "node:util";

export function judge(step, result, error) {
  const shown = JSON.stringify(error ? { code: error.code, message: error.message } : result).slice(0, 300);
  const problem = (what) => `${step.tool}: expected ${what}, got ${shown}`;
  if (step.unknown) return error?.code === -32602 ? null : problem("error -32602");
  if (error) return problem("a result");
  if (step.refused) {
    const fits = result.isError === true && step.refused.includes(result.structuredContent?.code);
    return fits ? null : problem(`isError with code ${step.refused.join(" or ")}`);
  }
  if (result.isError === true) return problem("a result that is no error");
  if ("text" in step && result.content[0]?.text !== step.text) return problem(`the text ${JSON.stringify(step.text)}`);
  if ("structured" in step && !isDeepStrictEqual(result.structuredContent, step.structured)) {
    return problem(JSON.stringify(step.structured));
  }
  return null;
}

/** Runs the plan; `client` has listTools() and callTool() as both SDK lines have. Gives the number of steps. */
export async function follow(plan, client, revision) {
  if (plan.revision && revision() !== plan.revision) throw new Error(`revision ${revision()} in place of ${plan.revision}`);
  const names = (await client.listTools()).tools.map((tool) => tool.name).sort();
  if (!isDeepStrictEqual(names, plan.tools)) throw new Error(`tools ${names}`);
  for (const step of plan.steps) {
    let result, error;
    try {
      result = await client.callTool({ name: step.tool, arguments: step.arguments ?? {} });
    } catch (thrown) {
      error = thrown;
    }
    const problem = judge(step, result, error);
    if (problem) throw new Error(problem);
  }
  return plan.steps.length + 1;
}

export async function report(label, run) {
  try {
    console.log(`ok      ${label}: ${await run()} steps`);
  } catch (error) {
    console.log(`failed  ${label}: ${error.message}`);
    process.exitCode = 1;
  }
}
