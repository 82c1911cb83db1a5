//! The fake server of the test kit, reached in every way.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_mcp::Json;
use bailiwick_mcp::client::{Cancel, HttpEndpoint, Notice, Options, Outgoing, StdioCommand, Upstream};
use bailiwick_testkit::place::Place;
use bailiwick_testkit::upstream::{Arrival, Behaviour, Eras, FakeUpstream, StdioUpstream};
use tokio::sync::broadcast;

use crate::client_fake::{Direct, options};

/// One fake server, whatever carries the messages.
pub enum Server {
    Http(FakeUpstream),
    /// The place keeps the record of arrivals.
    Stdio(Box<StdioUpstream>, #[expect(dead_code, reason = "held, not read")] Place),
}

pub const ERAS: [Eras; 2] = [Eras::Modern, Eras::Legacy];

impl Server {
    /// Over HTTP with sessions, and over stdio.
    pub fn both(behaviour: &Behaviour) -> [Self; 2] {
        [Self::http(behaviour), Self::stdio(behaviour)]
    }

    /// Both eras over both transports.
    pub fn all(behaviour: &Behaviour) -> Vec<Self> {
        ERAS.into_iter().flat_map(|eras| Self::both(&Behaviour { eras, ..behaviour.clone() })).collect()
    }

    pub fn http(behaviour: &Behaviour) -> Self {
        Self::Http(FakeUpstream::start(Behaviour { sessions: true, ..behaviour.clone() }))
    }

    pub fn stdio(behaviour: &Behaviour) -> Self {
        let place = Place::new();
        Self::Stdio(Box::new(StdioUpstream::new(behaviour.clone(), &place.join("arrivals"))), place)
    }

    pub fn upstream(&self) -> Upstream {
        self.upstream_with(options())
    }

    pub fn upstream_with(&self, options: Options) -> Upstream {
        match self {
            Self::Http(fake) => http(fake, options),
            Self::Stdio(fake, _) => Upstream::stdio(
                StdioCommand { program: PathBuf::from(fake.program()), args: fake.args(), env: Vec::new(), cwd: None, launcher: None },
                options,
            ),
        }
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        match self {
            Self::Http(fake) => fake.arrivals(),
            Self::Stdio(fake, _) => fake.arrivals(),
        }
    }

    /// The messages of this method.
    pub fn of(&self, method: &str) -> Vec<Arrival> {
        self.arrivals().into_iter().filter(|arrival| arrival.method == method).collect()
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "HTTP",
            Self::Stdio(..) => "stdio",
        }
    }
}

pub fn http(fake: &FakeUpstream, options: Options) -> Upstream {
    Upstream::http(&HttpEndpoint::parse(&fake.url(), Vec::new()).unwrap(), Arc::new(Direct), options).unwrap()
}

/// A request with ten seconds of patience.
pub fn ask<'a>(method: &'a str, name: Option<&'a str>, cancel: &'a Cancel) -> Outgoing<'a> {
    Outgoing {
        method,
        name,
        arguments: None,
        params: &[],
        meta: &[],
        param_headers: &[],
        deadline: Duration::from_secs(10),
        events: None,
        questions: None,
        owner: 0,
        cancel,
    }
}

/// The text of a tool's result, read as JSON.
pub fn said(result: &Json) -> serde_json::Value {
    let result = crate::client_fake::text(result);
    serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap()
}

/// The next notice, within ten seconds.
pub async fn next(notices: &mut broadcast::Receiver<Notice>) -> String {
    let notice = tokio::time::timeout(Duration::from_secs(10), notices.recv()).await.expect("no notice came").unwrap();
    match notice {
        Notice::ResourceUpdated { uri, params } => format!("{uri} {}", params.as_str()),
        Notice::ElicitationComplete(params) => format!("ElicitationComplete {:?}", params.as_str()),
        other => format!("{other:?}"),
    }
}
