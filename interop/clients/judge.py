"""Checks one answer against the plan. The same four checks stand in judge.mjs and in rmcp/src/main.rs."""
import json


def judge(step, result, error):
    """Gives what is wrong, or None. `result` is the plain JSON of a call result, `error` a (code, message) pair."""
    shown = json.dumps(list(error) if error else result)[:300]
    if step.get("unknown"):
        return None if error and error[0] == -32602 else f"{step['tool']}: expected error -32602, got {shown}"
    if error:
        return f"{step['tool']}: expected a result, got {shown}"
    structured = result.get("structuredContent")
    if step.get("refused"):
        fits = result.get("isError") is True and (structured or {}).get("code") in step["refused"]
        return None if fits else f"{step['tool']}: expected isError with code {' or '.join(step['refused'])}, got {shown}"
    if result.get("isError"):
        return f"{step['tool']}: expected a result that is no error, got {shown}"
    if "text" in step and (result["content"] or [{}])[0].get("text") != step["text"]:
        return f"{step['tool']}: expected the text {step['text']!r}, got {shown}"
    if "structured" in step and structured != step["structured"]:
        return f"{step['tool']}: expected {json.dumps(step['structured'])}, got {shown}"
    return None


async def follow(plan, revision, list_tools, call_tool):
    """Runs the plan; `call_tool` gives the two values that `judge` takes. Gives the number of steps."""
    if plan.get("revision") and revision != plan["revision"]:
        raise AssertionError(f"revision {revision} in place of {plan['revision']}")
    names = sorted(tool.name for tool in (await list_tools()).tools)
    if names != plan["tools"]:
        raise AssertionError(f"tools {names}")
    for step in plan["steps"]:
        problem = judge(step, *await call_tool(step["tool"], step.get("arguments", {})))
        if problem:
            raise AssertionError(problem)
    return len(plan["steps"]) + 1


def report(label, run):
    """Prints the one line and gives the exit code."""
    import asyncio

    try:
        print(f"ok      {label}: {asyncio.run(run())} steps")
        return 0
    except BaseException as error:  # a task group wraps the first cause
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        print(f"failed  {label}: {error!r}")
        return 1
