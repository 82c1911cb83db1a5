//! rmcp over Streamable HTTP, either era. Argument: the plan file. One JSON line for each step.

use std::error::Error;
use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use rmcp::handler::client::progress::ProgressDispatcher;
use rmcp::model::*;
use rmcp::service::{NotificationContext, PeerRequestOptions, RequestContext, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, ErrorData};
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::time::{sleep, timeout};

const STEP: Duration = Duration::from_secs(15);
const TOLD: Duration = Duration::from_secs(10);
const OBSERVED: Duration = Duration::from_secs(8);

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(std::env::args().nth(1).ok_or("a plan file")?)?)?;
    let answers = Answers { answer: plan["answer"].clone(), progress: ProgressDispatcher::new(), changed: broadcast::channel(16).0 };
    let lifecycle = match plan["era"].as_str() {
        Some("modern") => ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] },
        _ => ClientLifecycleMode::Initialize,
    };
    let transport = StreamableHttpClientTransport::from_uri(text(&plan, "url")?);
    let client = match answers.serve_with_lifecycle(transport, lifecycle).await {
        Ok(client) => client,
        Err(error) => {
            println!("{}", json!({"step": "open", "failed": error.to_string()}));
            return Err(error.into());
        }
    };
    let run = Run { client, plan: &plan };
    for (step, part) in plan["steps"].as_object().ok_or("no steps in the plan")? {
        match timeout(STEP, run.step(step, part)).await.unwrap_or_else(|_| Err("no end in time".into())) {
            Ok(()) => println!("{}", json!({"step": step, "ok": true})),
            Err(error) => println!("{}", json!({"step": step, "failed": error.to_string()})),
        }
    }
    run.client.cancel().await?;
    Ok(())
}

/// What the client answers and hears.
struct Answers {
    answer: Value,
    progress: ProgressDispatcher,
    changed: broadcast::Sender<&'static str>,
}

impl ClientHandler for Answers {
    fn get_info(&self) -> ClientConfig {
        let capabilities = ClientCapabilities::builder().enable_elicitation().build();
        ClientConfig::new(capabilities, Implementation::new("matrix", "1.0.0"))
    }

    async fn create_elicitation(&self, _: ElicitRequestParams, _: RequestContext<RoleClient>) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(self.answer.clone()))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.progress.handle_notification(params).await;
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        // Nobody listens outside of the step.
        let _ = self.changed.send("tools");
    }

    async fn on_resource_list_changed(&self, _: NotificationContext<RoleClient>) {
        let _ = self.changed.send("resources");
    }
}

struct Run<'p> {
    client: RunningService<RoleClient, Answers>,
    plan: &'p Value,
}

impl Run<'_> {
    async fn step(&self, step: &str, part: &Value) -> Outcome {
        match step {
            "open" => {
                let revision = self.client.peer_info().map(|info| info.protocol_version.to_string());
                require(revision.as_deref() == self.plan["revision"].as_str(), &self.plan["revision"], revision)
            }
            "tools" => {
                let names = self.tools().await?;
                let missing =
                    part["has"].as_array().into_iter().flatten().filter_map(Value::as_str).find(|own| !names.contains(&self.name(own)));
                require(missing.is_none(), format!("{missing:?} in the list"), names)
            }
            "call" => {
                let got = self.call(part).await?;
                require(got == text(part, "text")?, &part["text"], got)
            }
            "prompt" => self.prompt(part).await,
            "resource" => {
                let uri = shown(part, &self.resources().await?)?;
                self.read(part, &uri).await
            }
            "template" => {
                let uri = shown(part, &self.templates().await?)?.replace(text(part, "hole")?, "7");
                self.read(part, &uri).await
            }
            "completion" => self.complete(part, Reference::for_prompt(self.name(text(part, "prompt")?))).await,
            "template completion" => {
                let uri = shown(part, &self.templates().await?)?;
                self.complete(part, Reference::for_resource(uri)).await
            }
            "progress" => self.progress(part).await,
            "cancel" => self.cancel(part).await,
            "list change" => self.change(part).await,
            "ask" => {
                let got = self.call(part).await?;
                require(got.contains(text(part, "text")?), &part["text"], got)
            }
            other => Err(format!("no step {other}").into()),
        }
    }

    fn name(&self, own: &str) -> String {
        format!("{}{own}", self.plan["prefix"].as_str().unwrap_or_default())
    }

    async fn tools(&self) -> Outcome<Vec<String>> {
        Ok(self.client.list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect())
    }

    async fn resources(&self) -> Outcome<Vec<String>> {
        Ok(self.client.list_all_resources().await?.into_iter().map(|resource| resource.uri).collect())
    }

    async fn templates(&self) -> Outcome<Vec<String>> {
        Ok(self.client.list_all_resource_templates().await?.into_iter().map(|template| template.uri_template).collect())
    }

    fn params(&self, part: &Value) -> Outcome<CallToolRequestParams> {
        let given = part["arguments"].as_object().cloned().unwrap_or_default();
        Ok(CallToolRequestParams::new(self.name(text(part, "tool")?)).with_arguments(given))
    }

    /// The texts of the answer.
    async fn call(&self, part: &Value) -> Outcome<String> {
        let result = serde_json::to_value(self.client.call_tool(self.params(part)?).await?)?;
        require(result["isError"] != true, "a result that is no error", &result)?;
        let texts: Vec<_> = result["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str()).collect();
        Ok(texts.join("\n"))
    }

    async fn prompt(&self, part: &Value) -> Outcome {
        let name = self.name(text(part, "name")?);
        let names: Vec<_> = self.client.list_all_prompts().await?.into_iter().map(|prompt| prompt.name).collect();
        require(names.contains(&name), format!("{name} in the list"), names)?;
        let params = serde_json::from_value(json!({"name": name, "arguments": part["arguments"]}))?;
        let got = serde_json::to_value(self.client.get_prompt(params).await?)?;
        require(got["messages"][0]["content"]["text"] == part["text"], &part["text"], got)
    }

    async fn read(&self, part: &Value, uri: &str) -> Outcome {
        let params = serde_json::from_value(json!({"uri": uri}))?;
        let got = serde_json::to_value(self.client.read_resource(params).await?)?;
        let read = got["contents"][0]["text"].as_str().unwrap_or_default();
        require(read.contains(text(part, "text")?), &part["text"], &got)
    }

    async fn complete(&self, part: &Value, reference: Reference) -> Outcome {
        let params = serde_json::from_value(json!({"ref": reference, "argument": part["argument"]}))?;
        let got = self.client.complete(params).await?.completion.values;
        require(json!(got) == part["values"], &part["values"], got)
    }

    async fn progress(&self, part: &Value) -> Outcome {
        let request = ClientRequest::CallToolRequest(Request::new(self.params(part)?));
        let handle = self.client.send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
        let mut notes = self.client.service().progress.subscribe(handle.progress_token.clone()).await;
        handle.await_response().await?;
        let mut seen = Vec::new();
        // What was sent before the answer has arrived by now, or arrives at once.
        while let Ok(Some(note)) = timeout(Duration::from_millis(200), notes.next()).await {
            seen.push([note.progress, note.total.unwrap_or_default()]);
        }
        let wanted: Vec<[f64; 2]> = serde_json::from_value(part["progress"].clone())?;
        require(seen == wanted, &part["progress"], seen)
    }

    async fn cancel(&self, part: &Value) -> Outcome {
        let (begun, ended) = (self.count("started")?, self.count("cancelled")?);
        let request = ClientRequest::CallToolRequest(Request::new(self.params(part)?));
        let handle = self.client.send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
        self.observed("started", begun).await?;
        handle.cancel(Some("enough".to_owned())).await?;
        self.observed("cancelled", ended).await
    }

    /// Waits until the server has written `what` once more.
    async fn observed(&self, what: &str, more_than: usize) -> Outcome {
        let begin = Instant::now();
        while self.count(what)? <= more_than {
            require(begin.elapsed() < OBSERVED, format!("the server to see the call {what}"), "nothing in time")?;
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    fn count(&self, what: &str) -> Outcome<usize> {
        Ok(std::fs::read_to_string(text(self.plan, "observed")?)?.lines().filter(|line| *line == what).count())
    }

    async fn change(&self, part: &Value) -> Outcome {
        let kind = text(part, "kind")?;
        if self.plan["era"] == "legacy" {
            let mut changed = self.client.service().changed.subscribe();
            self.client.call_tool(self.params(part)?).await?;
            let told = async { while changed.recv().await.is_ok_and(|told| told != kind) {} };
            timeout(TOLD, told).await.map_err(|_| format!("no notifications/{kind}/list_changed"))?;
            return self.appears(part).await;
        }
        let filter = SubscriptionFilter::builder();
        let filter = if kind == "tools" { filter.tools_list_changed() } else { filter.resources_list_changed() };
        let mut stream = self.client.listen(filter.build()).await?;
        let honoured = serde_json::to_value(stream.acknowledged())?;
        require(honoured[format!("{kind}ListChanged")] == true, "the change to be honoured", honoured)?;
        self.client.call_tool(self.params(part)?).await?;
        let told = timeout(TOLD, stream.next()).await.map_err(|_| format!("no notifications/{kind}/list_changed"))??;
        require(told.is_some(), "a notification", stream.end())?;
        let appears = self.appears(part).await;
        stream.cancel().await?;
        appears
    }

    async fn appears(&self, part: &Value) -> Outcome {
        let names = if part["kind"] == "tools" { self.tools().await? } else { self.resources().await? };
        let found = part["appears"].as_array().into_iter().flatten().any(|added| names.iter().any(|name| added == name));
        require(found, format!("one of {} in the list", part["appears"]), names)
    }
}

/// The URI under which the endpoint lists the server's own one.
fn shown(part: &Value, listed: &[String]) -> Outcome<String> {
    let found = ["wrapped", "uri"].into_iter().filter_map(|form| part[form].as_str()).find(|uri| listed.iter().any(|name| name == uri));
    require(found.is_some(), format!("{} or {} in the list", part["wrapped"], part["uri"]), listed)?;
    Ok(found.unwrap_or_default().to_owned())
}

fn text<'v>(value: &'v Value, member: &str) -> Outcome<&'v str> {
    value[member].as_str().ok_or_else(|| format!("no {member} in the plan").into())
}

fn require(holds: bool, wanted: impl Display, got: impl Debug) -> Outcome {
    if holds {
        return Ok(());
    }
    Err(format!("expected {wanted}, got {}", format!("{got:?}").chars().take(400).collect::<String>()).into())
}
