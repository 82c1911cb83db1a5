//! People who connect with registered servers and call them, as they do it: through the API, on the pages, with clients of both eras.
//! Everything that they are answered is kept.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_testkit::app::poll;
use bailiwick_testkit::client::{Client, Era, Fault};
use bailiwick_testkit::provider::Provider;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use url::Url;

use super::tap::Tap;
use crate::api::{Answer, Ask, Town};

const SERVERS: &str = "/v1/mcp/servers";
/// How long the gateway may take to notice something, or to give a token back.
const NOTICE_MAX: Duration = Duration::from_secs(30);

/// What was said, by whom.
pub(crate) type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// See the module.
pub(crate) struct Walk {
    pub(crate) town: Town,
    runtime: Runtime,
    tap: Tap,
    heard: Heard,
    /// States, and what browsers keep.
    ours: Mutex<BTreeSet<String>>,
}

impl Walk {
    pub(crate) fn new(town: Town) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let heard = Heard::default();
        let tap = runtime.block_on(Tap::open(crate::scene::port(&town.app), heard.clone()));
        Self { town, runtime, tap, heard, ours: Mutex::default() }
    }

    pub(crate) fn hear(&self, who: impl Into<String>, text: impl Into<Vec<u8>>) {
        self.heard.lock().unwrap().push((who.into(), text.into()));
    }

    /// Everything that was heard so far.
    pub(crate) fn heard(&self) -> Vec<(String, Vec<u8>)> {
        self.heard.lock().unwrap().clone()
    }

    /// States, and what browsers keep.
    pub(crate) fn ours(&self) -> BTreeSet<String> {
        self.ours.lock().unwrap().clone()
    }

    /// A request of the API, whatever becomes of it.
    pub(crate) fn ask(&self, who: &str, method: &str, target: &str, body: Option<&Value>) -> Answer {
        let answer = self.town.ask(who, method, target, body);
        self.hear(format!("{who} {method} {target}"), answer.whole());
        answer
    }

    /// The same, which has to succeed; gives the data.
    pub(crate) fn done(&self, who: &str, method: &str, target: &str, body: Option<&Value>) -> Value {
        let answer = self.ask(who, method, target, body);
        assert!(answer.status < 300, "{who} {method} {target}: {answer:?}");
        let mut whole = answer.json();
        if target.starts_with("/v1/mcp/") || target.starts_with("/v1/admin/mcp/") { whole["data"].take() } else { whole }
    }

    /// A command at the machine, whatever becomes of it.
    pub(crate) fn command(&self, args: &[&str]) -> Option<i32> {
        let output = self.town.app.command(args);
        self.hear(format!("{args:?} stdout"), output.stdout);
        self.hear(format!("{args:?} stderr"), output.stderr);
        output.status.code()
    }

    /// An authorization that was begun. Its address and its state stand in the answer once each, and nothing of them elsewhere.
    pub(crate) fn start(&self, who: &str, server: &str) -> String {
        let target = format!("{SERVERS}/{server}/oauth/start");
        let answer = self.town.ask(who, "POST", &target, None);
        assert_eq!(answer.status, 200, "{answer:?}");
        let data = answer.json()["data"].take();
        let (url, state) = (data["authorization_url"].as_str().unwrap(), data["state"].as_str().unwrap());
        assert_eq!(param(url, "state").as_deref(), Some(state));
        self.own(state);
        let rest = answer.whole().replacen(&quoted(url), "", 1).replacen(&quoted(state), "", 1);
        self.hear(format!("{who} {target}"), rest);
        self.hear("where to", url.replacen(state, "", 1));
        url.to_owned()
    }

    fn own(&self, value: &str) {
        self.ours.lock().unwrap().insert(value.to_owned());
    }

    /// What somebody sends after he was sent back to `location`, with another code if one is given.
    pub(crate) fn come_back(&self, who: &str, location: &str, code: Option<&str>) -> Answer {
        let mut body = json!({"state": param(location, "state").unwrap()});
        for name in ["code", "iss", "error"] {
            if let Some(value) = param(location, name) {
                body[name] = value.into();
            }
        }
        if let Some(code) = code {
            body["code"] = code.into();
        }
        self.ask(who, "POST", "/v1/mcp/oauth/callback", Some(&body))
    }

    /// Start, consent, callback.
    pub(crate) fn connect(&self, who: &str, provider: &Provider, server: &str) {
        let location = provider.approve(&self.start(who, server));
        let answer = self.come_back(who, &location, None);
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The same on the pages, behind a link that somebody got for himself.
    pub(crate) fn connect_on_page(&self, who: &str, provider: &Provider, server: &str) {
        let link = self.done(who, "POST", &format!("{SERVERS}/{server}/oauth/link"), None);
        self.follow(provider, link["url"].as_str().unwrap());
    }

    /// Opens a link and goes on to the end, in one browser.
    pub(crate) fn follow(&self, provider: &Provider, link: &str) {
        let (path, cookie, authorization_url) = self.agree(link);
        let location = provider.approve(&authorization_url);
        let page = self.browse("GET", &local(&location), Some(&cookie));
        assert_eq!(page.status, 200, "{path}: {page:?}");
    }

    /// Opens a link and agrees. Gives its path, the cookie of the browser, and where it is sent: `Location` alone says that.
    pub(crate) fn agree(&self, link: &str) -> (String, String, String) {
        let path = local(link);
        assert_eq!(self.browse("GET", &path, None).status, 200);
        let page = Ask::anybody().send(&self.town.app, "POST", &path);
        assert_eq!(page.status, 303, "{page:?}");
        let (location, cookie) = (page.header("location").to_owned(), page.header("set-cookie").to_owned());
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let state = param(&location, "state").unwrap();
        self.own(&state);
        self.hear("where to", location.replacen(&state, "", 1));
        self.own(cookie.split_once('=').unwrap().1);
        self.hear(format!("POST {path}"), page.whole().replacen(&location, "", 1).replacen(&cookie, "", 1));
        (path, cookie, location)
    }

    /// A request of a browser.
    pub(crate) fn browse(&self, method: &str, target: &str, cookie: Option<&str>) -> Answer {
        let ask = cookie.into_iter().fold(Ask::anybody(), |ask, cookie| ask.header("cookie", cookie));
        let page = ask.send(&self.town.app, method, target);
        self.hear(format!("browser {method} {}", target.split('?').next().unwrap()), page.whole());
        page
    }

    /// A client of somebody's agent, opened, that sees `tool`.
    pub(crate) fn client(&self, who: &str, era: Era, tool: &str) -> Client {
        let capabilities = json!({"elicitation": {"form": {}, "url": {}}});
        let client = Client::http(&self.tap.mcp_url(), era).bearer(self.town.key(who)).capabilities(capabilities);
        self.runtime.block_on(client.open()).unwrap();
        let sees = || self.names(&client).iter().any(|name| name == tool).then_some(());
        poll(NOTICE_MAX, sees).unwrap_or_else(|| panic!("{who} does not see {tool}: {:?}", self.names(&client)));
        client
    }

    /// The names of the tools that a client sees.
    pub(crate) fn names(&self, client: &Client) -> Vec<String> {
        self.runtime.block_on(client.tool_names()).unwrap()
    }

    /// One request of a client; what came with it is kept.
    pub(crate) fn request(&self, client: &Client, method: &str, params: Value) -> Result<Value, Fault> {
        let what = format!("{method} {params}");
        let reply = self.runtime.block_on(client.request(method, params));
        match reply {
            Ok(reply) => {
                self.hear(what.clone(), reply.text);
                self.hear(what, json!(reply.notifications).to_string());
                Ok(reply.result)
            }
            Err(fault) => {
                self.hear(what, format!("{fault} {fault:?}"));
                Err(fault)
            }
        }
    }

    /// One call; gives the result.
    pub(crate) fn call(&self, client: &Client, tool: &str) -> Result<Value, Fault> {
        let meta = match client.era() {
            Era::Modern => json!({"progressToken": 5, "io.modelcontextprotocol/logLevel": "debug"}),
            Era::Legacy(_) => json!({"progressToken": 5}),
        };
        self.request(client, "tools/call", json!({"name": tool, "arguments": {"payload": "x"}, "_meta": meta}))
    }

    /// Waits until something has come about.
    pub(crate) fn wait(what: &str, mut is: impl FnMut() -> bool) {
        assert!(poll(NOTICE_MAX, || is().then_some(())).is_some(), "{what} never came about");
    }
}

/// A value in JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

pub(crate) fn param(url: &str, name: &str) -> Option<String> {
    Url::parse(url).unwrap().query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

/// An address of the program without where it is.
pub(crate) fn local(address: &str) -> String {
    let url = Url::parse(address).unwrap();
    format!("{}{}", url.path(), url.query().map(|query| format!("?{query}")).unwrap_or_default())
}
