//! Closed-loop load: each connection has one request under way, and every answer is checked.

use std::borrow::Cow;
use std::cell::Cell as Slot;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bailiwick_testkit::client::{Client, Connection, Era};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::LocalSet;

use crate::Outcome;
use crate::cell::{BIG_BYTES, Cell, What};

/// Wrong answers kept with their text; a connection that sees more gives up.
const WRONG_MAX: usize = 20;

/// Where requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// For the table.
    pub(crate) name: &'static str,
    /// The endpoint.
    pub(crate) url: String,
    /// What stands before the upstream's tool names.
    pub(crate) read_prefix: &'static str,
    /// The same for calls with effects.
    pub(crate) effects_prefix: &'static str,
    /// Bearer of the agent that reads and lists.
    pub(crate) read_token: Option<String>,
    /// Bearer of the agent whose calls have effects.
    pub(crate) effects_token: Option<String>,
    /// Tools that the list must have.
    pub(crate) tools: usize,
}

/// How long, or how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Seconds before the window.
    pub(crate) warmup: f64,
    /// Seconds of the window.
    pub(crate) seconds: f64,
    /// Ends each connection after so many requests instead.
    pub(crate) calls: Option<u64>,
}

/// One cell measured once.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// [`Target::name`].
    pub(crate) target: &'static str,
    /// What was measured.
    pub(crate) cell: Cell,
    /// Good answers inside the window.
    pub(crate) calls: usize,
    /// Length of the window.
    pub(crate) seconds: f64,
    /// Latency in microseconds.
    pub p50: f64,
    /// Latency in microseconds.
    pub p99: f64,
    /// Processor time of the gateway inside the window, per call, in microseconds.
    pub(crate) cpu: f64,
    /// What was wrong.
    pub(crate) wrong: Vec<String>,
}

impl Target {
    /// The upstream itself.
    pub(crate) fn direct(url: &str, tools: usize) -> Self {
        let url = url.to_owned();
        Self { name: "direct", url, read_prefix: "", effects_prefix: "", read_token: None, effects_token: None, tools }
    }

    fn client(&self, cell: &Cell) -> Client {
        let client = Client::http(&self.url, cell.era);
        match self.token(cell) {
            Some(token) => client.bearer(token),
            None => client,
        }
    }

    fn token(&self, cell: &Cell) -> Option<&str> {
        if cell.what == What::Effects { self.effects_token.as_deref() } else { self.read_token.as_deref() }
    }
}

/// Opens, lists and calls once with the strict client, so that nobody measures how fast something is refused.
pub(crate) async fn prove(target: &Target, cells: &[Cell]) -> Outcome<()> {
    for cell in cells {
        let client = target.client(cell);
        let fault = |what: &str, e: &dyn std::fmt::Display| format!("{} {cell}: {what}: {e}", target.name);
        client.open().await.map_err(|e| fault("opening", &e))?;
        let names = client.tool_names().await.map_err(|e| fault("list", &e))?;
        if cell.what != What::Effects && names.len() != target.tools {
            return Err(fault("list", &format!("{} tools in place of {}", names.len(), target.tools)));
        }
    }
    Ok(())
}

/// Runs one cell; `cpu` reads the gateway's processor time.
pub(crate) async fn measure(target: &Target, cell: &Cell, payload: usize, window: &Window, cpu: impl Fn() -> Duration) -> Outcome<Sample> {
    let phase = Rc::new(Slot::new(Phase::Warmup));
    let local = LocalSet::new();
    let mut workers = Vec::new();
    for number in 0..cell.connections {
        let worker = Worker::open(target, cell, payload, number).await?;
        workers.push(local.spawn_local(worker.run(phase.clone(), window.calls)));
    }
    let timed = local.run_until(async {
        tokio::time::sleep(Duration::from_secs_f64(window.warmup)).await;
        let (begun, before) = (Instant::now(), cpu());
        phase.set(Phase::Measure);
        if window.calls.is_none() {
            tokio::time::sleep(Duration::from_secs_f64(window.seconds)).await;
            phase.set(Phase::Stop);
        }
        let (seconds, spent) = (begun.elapsed(), cpu().saturating_sub(before));
        let mut tallies = Vec::new();
        for worker in workers {
            tallies.push(worker.await.map_err(|e| e.to_string())?);
        }
        Ok::<_, String>((seconds, spent, tallies))
    });
    let (seconds, spent, tallies) = timed.await?;
    Ok(summary(target, cell, seconds, spent, tallies))
}

fn summary(target: &Target, cell: &Cell, seconds: Duration, spent: Duration, tallies: Vec<Tally>) -> Sample {
    let mut latencies: Vec<u32> = tallies.iter().flat_map(|t| t.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let quantile = |share: f64| {
        let at = ((latencies.len() as f64 * share) as usize).min(latencies.len().saturating_sub(1));
        latencies.get(at).map_or(0.0, |tenths| f64::from(*tenths) / 10.0)
    };
    let calls = latencies.len();
    let wrong = tallies.into_iter().flat_map(|t| t.wrong).collect();
    let (p50, p99) = (quantile(0.5), quantile(0.99));
    let cpu = spent.as_secs_f64() * 1e6 / calls.max(1) as f64;
    Sample { target: target.name, cell: *cell, calls, seconds: seconds.as_secs_f64(), p50, p99, cpu, wrong }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Warmup,
    Measure,
    Stop,
}

#[derive(Default)]
struct Tally {
    /// Tenths of a microsecond.
    latencies: Vec<u32>,
    wrong: Vec<String>,
}

struct Worker {
    connection: Connection,
    path: String,
    headers: HeaderMap,
    cell: Cell,
    tool: String,
    tools: usize,
    /// What the answer's text must be, apart from the tag of each call.
    text: String,
    number: usize,
}

impl Worker {
    async fn open(target: &Target, cell: &Cell, payload: usize, number: usize) -> Outcome<Self> {
        let client = target.client(cell);
        client.open().await.map_err(|e| format!("{} {cell}: {e}", target.name))?;
        let rest = target.url.strip_prefix("http://").ok_or("only http:// here")?;
        let (authority, path) = rest.split_once('/').ok_or("an address without a path")?;
        let (tool, text) = match cell.what {
            What::Read | What::List => (format!("{}echo", target.read_prefix), filler(payload)),
            What::Effects => (format!("{}echo", target.effects_prefix), filler(payload)),
            What::Big => (format!("{}big", target.read_prefix), String::new()),
        };
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| -> Outcome<()> {
            headers.insert(name, HeaderValue::from_str(value).map_err(|e| format!("{name}: {e}"))?);
            Ok(())
        };
        set("host", authority)?;
        set("content-type", "application/json")?;
        set("accept", "application/json, text/event-stream")?;
        if let Some(token) = target.token(cell) {
            set("authorization", &format!("Bearer {token}"))?;
        }
        match cell.era {
            Era::Legacy(revision) => set("mcp-protocol-version", revision)?,
            Era::Modern => {
                set("mcp-protocol-version", "2026-07-28")?;
                set("mcp-method", if cell.what == What::List { "tools/list" } else { "tools/call" })?;
                if cell.what != What::List {
                    set("mcp-name", &tool)?;
                }
            }
        }
        if let Some(session) = client.session() {
            set("mcp-session-id", &session)?;
        }
        let connection = Connection::open(authority).await?;
        Ok(Self { connection, path: format!("/{path}"), headers, cell: *cell, tool, tools: target.tools, text, number })
    }

    async fn run(mut self, phase: Rc<Slot<Phase>>, calls: Option<u64>) -> Tally {
        let mut tally = Tally::default();
        let mut sequence = 0_u64;
        while phase.get() != Phase::Stop && calls.is_none_or(|calls| sequence < calls) {
            sequence += 1;
            let begun = Instant::now();
            let outcome = self.once(sequence).await;
            let tenths = u32::try_from(begun.elapsed().as_nanos() / 100).unwrap_or(u32::MAX);
            match outcome {
                Ok(()) if phase.get() == Phase::Measure => tally.latencies.push(tenths),
                Ok(()) => {}
                Err(why) => {
                    tally.wrong.push(why);
                    if tally.wrong.len() >= WRONG_MAX {
                        break;
                    }
                }
            }
        }
        tally
    }

    async fn once(&mut self, sequence: u64) -> Outcome<()> {
        let id = ((self.number as u64) << 40) | sequence;
        match self.cell.what {
            What::List => {
                let mut seen = 0;
                let mut cursor: Option<Box<RawValue>> = None;
                loop {
                    let params = cursor.as_ref().map(|c| format!(r#""cursor":{}"#, c.get())).unwrap_or_default();
                    let body = self.post(id, "tools/list", &params).await?;
                    let list: List<'_> = result(&body, id, self.cell.era)?;
                    seen += list.tools.len();
                    match list.next {
                        Some(next) => cursor = Some(next.to_owned()),
                        None if seen == self.tools => return Ok(()),
                        None => return Err(format!("{seen} tools in place of {}", self.tools)),
                    }
                }
            }
            What::Big => {
                let params = format!(r#""name":"{}","arguments":{{"bytes":{BIG_BYTES}}}"#, self.tool);
                let body = self.post(id, "tools/call", &params).await?;
                let call: Call<'_> = result(&body, id, self.cell.era)?;
                call.check(|text| text.len() == BIG_BYTES && text.starts_with("0123456789abc") && text.is_ascii())
            }
            What::Read | What::Effects => {
                // The tag makes each payload one of its kind: an answer of another call is found.
                let payload = format!("{id:016x}{}", self.text);
                let params = format!(r#""name":"{}","arguments":{{"payload":"{payload}"}}"#, self.tool);
                let body = self.post(id, "tools/call", &params).await?;
                let call: Call<'_> = result(&body, id, self.cell.era)?;
                call.check(|text| text == payload)
            }
        }
    }

    async fn post(&mut self, id: u64, method: &str, params: &str) -> Outcome<Bytes> {
        const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;
        let (comma, meta) = match (self.cell.era, params.is_empty()) {
            (Era::Legacy(_), _) => ("", ""),
            (Era::Modern, true) => ("", META),
            (Era::Modern, false) => (",", META),
        };
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}{comma}{meta}}}}}"#);
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.path.parse().map_err(|_| "the path of the endpoint")?;
        *request.headers_mut() = self.headers.clone();
        let response = self.connection.send(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
        if status != 200 {
            return Err(format!("status {status}: {}", shorten(&body)));
        }
        // A stream of one event is an answer as well.
        Ok(match body.strip_prefix(b"event: message\ndata: ") {
            Some(data) => body.slice_ref(data.trim_ascii_end()),
            None => body,
        })
    }
}

#[derive(Deserialize)]
struct Envelope<'a, T> {
    id: Option<u64>,
    #[serde(bound(deserialize = "T: Deserialize<'de>"))]
    result: Option<T>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, rename = "resultType")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tools: Vec<Named<'a>>,
    #[serde(borrow, rename = "nextCursor")]
    next: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, rename = "name")]
    _name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow, rename = "resultType")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Vec<Block<'a>>,
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
}

trait Kind {
    fn kind(&self) -> Option<&str>;
}

impl Kind for List<'_> {
    fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }
}

impl Kind for Call<'_> {
    fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }
}

impl Call<'_> {
    fn check(&self, fits: impl Fn(&str) -> bool) -> Outcome<()> {
        match self.content.as_slice() {
            [block] if !self.is_error && fits(&block.text) => Ok(()),
            [block, ..] => Err(format!("isError {}, text {}", self.is_error, shorten(block.text.as_bytes()))),
            [] => Err("no content".to_owned()),
        }
    }
}

fn result<'a, T: Deserialize<'a> + Kind>(body: &'a Bytes, id: u64, era: Era) -> Outcome<T> {
    let envelope: Envelope<'a, T> = serde_json::from_slice(body).map_err(|e| format!("{e}: {}", shorten(body)))?;
    if envelope.id != Some(id) {
        return Err(format!("the id is not {id}: {}", shorten(body)));
    }
    let result = match (envelope.result, envelope.error) {
        (Some(result), None) => result,
        _ => return Err(shorten(body)),
    };
    let expected = if era == Era::Modern { Some("complete") } else { None };
    if result.kind() != expected {
        return Err(format!("resultType {:?} in this era", result.kind()));
    }
    Ok(result)
}

/// Text of the payload after its tag of 16 characters.
fn filler(payload: usize) -> String {
    "The clerk writes what the porter carries. ".chars().cycle().take(payload.saturating_sub(16)).collect()
}

fn shorten(bytes: &[u8]) -> String {
    const SHOWN_BYTES_MAX: usize = 200;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES_MAX)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_answer_is_not_counted() {
        let good = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"a"}],"isError":false}}"#);
        assert!(result::<Call<'_>>(&good, 7, Era::LEGACY).unwrap().check(|t| t == "a").is_ok());
        assert!(result::<Call<'_>>(&good, 7, Era::LEGACY).unwrap().check(|t| t == "b").is_err());
        assert!(result::<Call<'_>>(&good, 8, Era::LEGACY).is_err());
        assert!(result::<Call<'_>>(&good, 7, Era::Modern).is_err());
        let refused = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"a"}],"isError":true}}"#);
        assert!(result::<Call<'_>>(&refused, 7, Era::LEGACY).unwrap().check(|t| t == "a").is_err());
        let error = Bytes::from_static(br#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"no"}}"#);
        assert!(result::<Call<'_>>(&error, 7, Era::LEGACY).is_err());
    }
}
