//! An MCP server on rmcp, both eras. Arguments: NAME, the file that hears what happened, `stdio` or a port.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rmcp::model::*;
use rmcp::service::{NotificationContext, Peer, RequestContext, RoleServer, SubscriptionContext};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ErrorData, ServerHandler, ServiceExt as _};
use serde_json::{Value, json};
use tokio::sync::broadcast;

const WORDS: [&str; 3] = ["Ada", "Adele", "Grace"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let [name, observed, place]: [String; 3] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "NAME FILE stdio|PORT")?;
    let server = Server {
        name: name.into(),
        observed: observed.into(),
        added: Arc::default(),
        peers: Arc::default(),
        grown: broadcast::channel(16).0,
    };
    if place == "stdio" {
        server.serve(rmcp::transport::stdio()).await?.waiting().await?;
        return Ok(());
    }
    let config = StreamableHttpServerConfig::default();
    let service = StreamableHttpService::new(move || Ok(server.clone()), Arc::new(LocalSessionManager::default()), config);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", place.parse()?)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // A client that goes away is no fault of the server.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[derive(Clone)]
struct Server {
    name: Arc<str>,
    observed: Arc<str>,
    /// Names of the tools that were added while running.
    added: Arc<Mutex<Vec<String>>>,
    /// The initialize connections.
    peers: Arc<Mutex<Vec<Peer<RoleServer>>>>,
    /// Speaks to the open `subscriptions/listen` streams.
    grown: broadcast::Sender<()>,
}

impl Server {
    fn observe(&self, what: &str) {
        let file = OpenOptions::new().append(true).create(true).open(&*self.observed);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{what}")) {
            eprintln!("{}: {error}", self.observed);
        }
    }

    fn tools(&self) -> Value {
        let object = |properties: Value| json!({"type": "object", "properties": properties});
        let mut tools = vec![
            json!({"name": "echo", "inputSchema": object(json!({"message": {"type": "string"}}))}),
            json!({"name": "steps", "inputSchema": object(json!({}))}),
            json!({"name": "wait", "inputSchema": object(json!({}))}),
            json!({"name": "grow", "inputSchema": object(json!({"name": {"type": "string"}}))}),
            json!({"name": "ask", "inputSchema": object(json!({}))}),
        ];
        let added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        tools.extend(added.iter().map(|name| json!({"name": name, "inputSchema": object(json!({}))})));
        json!({ "tools": tools })
    }

    async fn steps(&self, context: &RequestContext<RoleServer>) -> Result<String, ErrorData> {
        for step in 1..=3 {
            if let Some(token) = context.meta.get_progress_token() {
                let note = ProgressNotificationParam::new(token, f64::from(step)).with_total(3.0);
                context.peer.notify_progress(note).await.map_err(internal)?;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok("done".to_owned())
    }

    async fn wait(&self, context: &RequestContext<RoleServer>) -> String {
        self.observe("started");
        tokio::select! {
            () = context.ct.cancelled() => {
                self.observe("cancelled");
                "cancelled".to_owned()
            }
            () = tokio::time::sleep(Duration::from_secs(30)) => "nobody cancelled".to_owned(),
        }
    }

    async fn grow(&self, name: &str) -> String {
        self.added.lock().unwrap_or_else(PoisonError::into_inner).push(name.to_owned());
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for peer in peers.iter().filter(|peer| !peer.is_transport_closed()) {
            // A session that has just ended hears nothing.
            let _ = peer.notify_tool_list_changed().await;
        }
        // Without an open stream there is nobody to tell.
        let _ = self.grown.send(());
        format!("added {name}")
    }

    async fn ask(&self, request: &CallToolRequestParams, context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        let question: ElicitRequestParams = parsed(json!({
            "mode": "form", "message": "What is your name?",
            "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
        }))?;
        let modern = context.protocol_version().is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let answer = match request.input_responses.as_ref().and_then(|responses| responses.get("who")) {
            Some(answer) => answer.clone(),
            None if modern => {
                let asked = InputRequests::from([("who".to_owned(), InputRequest::Elicitation(ElicitRequest::new(question)))]);
                return Ok(InputRequiredResult::new(Some(asked), Some("asked".to_owned())).into());
            }
            None => serde_json::to_value(context.peer.create_elicitation(question).await.map_err(internal)?).map_err(internal)?,
        };
        Ok(text(format!("Hello, {}!", answer["content"]["name"].as_str().unwrap_or_default())))
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_resources()
            .enable_completions()
            .build();
        ServerConfig::new(capabilities).with_server_info(Implementation::new("matrix-rmcp", "1.0.0"))
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).push(context.peer);
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.supported_by(&self.get_info().capabilities))
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        let mut grown = self.grown.subscribe();
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                _ = grown.recv() => context.sink().notify_tool_list_changed().await.map_err(internal)?,
            }
        }
    }

    async fn list_tools(&self, _: Option<PaginatedRequestParams>, _: RequestContext<RoleServer>) -> Result<ListToolsResult, ErrorData> {
        complete(self.tools())
    }

    async fn call_tool(&self, request: CallToolRequestParams, context: RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        let argument = |name: &str| request.arguments.as_ref().and_then(|given| given.get(name)?.as_str()).unwrap_or_default();
        Ok(text(match &*request.name {
            "echo" => format!("Echo: {}", argument("message")),
            "steps" => self.steps(&context).await?,
            "wait" => self.wait(&context).await,
            "grow" => self.grow(argument("name")).await,
            "ask" => return self.ask(&request, &context).await,
            other => format!("I am {other}"),
        }))
    }

    async fn list_prompts(&self, _: Option<PaginatedRequestParams>, _: RequestContext<RoleServer>) -> Result<ListPromptsResult, ErrorData> {
        complete(json!({"prompts": [{"name": "greet", "arguments": [{"name": "who", "required": true}]}]}))
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, _: RequestContext<RoleServer>) -> Result<GetPromptResponse, ErrorData> {
        let who = request.arguments.as_ref().and_then(|given| given.get("who")).map(|who| json!(who)).unwrap_or_default();
        let words = format!("Please greet {} from {}.", who.as_str().unwrap_or_default(), self.name);
        let prompt: GetPromptResult = complete(json!({"messages": [{"role": "user", "content": {"type": "text", "text": words}}]}))?;
        Ok(prompt.into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        complete(json!({"resources": [{"uri": "note://plan", "name": "plan", "mimeType": "text/plain"}]}))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        complete(json!({"resourceTemplates": [{"uriTemplate": "item://{id}/text", "name": "item", "mimeType": "text/plain"}]}))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let item = request.uri.strip_prefix("item://").and_then(|rest| rest.strip_suffix("/text"));
        let words = match (request.uri.as_str(), item) {
            ("note://plan", _) => format!("The plan of {}", self.name),
            (_, Some(id)) => format!("Item {id} of {}", self.name),
            (other, None) => return Err(ErrorData::resource_not_found(format!("no resource {other}"), None)),
        };
        let read: ReadResourceResult = complete(json!({"contents": [{"uri": request.uri, "mimeType": "text/plain", "text": words}]}))?;
        Ok(read.into())
    }

    async fn complete(&self, request: CompleteRequestParams, _: RequestContext<RoleServer>) -> Result<CompleteResult, ErrorData> {
        let values: Vec<_> = WORDS.into_iter().filter(|word| word.starts_with(&request.argument.value)).collect();
        complete(json!({"completion": {"values": values, "total": values.len(), "hasMore": false}}))
    }
}

fn text(words: String) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(words)]).into()
}

/// A result; the SDK takes the word that it is complete out again for older clients.
fn complete<T: serde::de::DeserializeOwned>(mut value: Value) -> Result<T, ErrorData> {
    value["resultType"] = json!("complete");
    parsed(value)
}

fn parsed<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, ErrorData> {
    serde_json::from_value(value).map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}
