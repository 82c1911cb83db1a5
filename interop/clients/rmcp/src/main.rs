//! rmcp over stdio. Argument: the plan file. The same four checks stand in `judge.py` and `judge.mjs`.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{RoleClient, RunningService, ServiceError};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientLifecycleMode, ClientServiceExt as _};
use serde_json::Value;
use tokio::process::Command;

const PLAN: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let plan: Value = match std::env::args().nth(1).map(std::fs::read_to_string) {
        Some(Ok(text)) => serde_json::from_str(&text).unwrap_or_default(),
        _ => Value::Null,
    };
    let label = plan["label"].as_str().unwrap_or("rmcp without a plan");
    match tokio::time::timeout(PLAN, run(&plan)).await.unwrap_or_else(|_| Err("time is up".into())) {
        Ok(steps) => {
            println!("ok      {label}: {steps} steps");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("failed  {label}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(plan: &Value) -> Outcome<usize> {
    let mut command = Command::new(plan["command"].as_str().ok_or("no command in the plan")?);
    command.args(plan["args"].as_array().into_iter().flatten().filter_map(Value::as_str));
    for (name, value) in plan["env"].as_object().into_iter().flatten() {
        command.env(name, value.as_str().unwrap_or_default());
    }
    let newest = || vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match plan["era"].as_str() {
        Some("modern") => ClientLifecycleMode::Discover { preferred_versions: newest() },
        Some("legacy") => ClientLifecycleMode::Initialize,
        _ => ClientLifecycleMode::Auto { preferred_versions: newest(), legacy_version: None },
    };
    let client = ().serve_with_lifecycle(TokioChildProcess::new(command)?, lifecycle).await?;
    let steps = follow(plan, &client).await;
    client.cancel().await?;
    steps
}

async fn follow(plan: &Value, client: &RunningService<RoleClient, ()>) -> Outcome<usize> {
    let revision = client.peer_info().map(|info| info.protocol_version.to_string());
    if plan["revision"].is_string() && revision.as_deref() != plan["revision"].as_str() {
        return Err(format!("revision {revision:?} in place of {}", plan["revision"]).into());
    }
    let mut names: Vec<String> = client.list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect();
    names.sort();
    if serde_json::to_value(&names)? != plan["tools"] {
        return Err(format!("tools {names:?}").into());
    }
    let steps = plan["steps"].as_array().ok_or("no steps in the plan")?;
    for step in steps {
        let tool = step["tool"].as_str().ok_or("a step without a tool")?.to_owned();
        let arguments = step["arguments"].as_object().cloned().unwrap_or_default();
        let answer = match client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await {
            Ok(result) => Ok(serde_json::to_value(result)?),
            Err(ServiceError::McpError(error)) => Err(error.code.0),
            Err(other) => return Err(other.into()),
        };
        judge(step, &answer)?;
    }
    Ok(steps.len() + 1)
}

fn judge(step: &Value, answer: &Result<Value, i32>) -> Result<(), String> {
    let ensure = |holds: bool, wanted: &str| {
        let shown: String = format!("{answer:?}").chars().take(300).collect();
        if holds { Ok(()) } else { Err(format!("{}: expected {wanted}, got {shown}", step["tool"])) }
    };
    if step["unknown"] == true {
        return ensure(*answer == Err(-32602), "error -32602");
    }
    let Ok(result) = answer else { return ensure(false, "a result") };
    let failed = result["isError"] == true;
    if let Some(codes) = step["refused"].as_array() {
        return ensure(failed && codes.contains(&result["structuredContent"]["code"]), "a refusal of the planned code");
    }
    ensure(!failed, "a result that is no error")?;
    ensure(step.get("text").is_none_or(|text| result["content"][0]["text"] == *text), "the planned text")?;
    ensure(step.get("structured").is_none_or(|value| result["structuredContent"] == *value), "the planned structured content")
}
