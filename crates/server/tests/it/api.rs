//! A client of the management API that sends bytes as they are, and a town of people to be it.

use bailiwick_testkit::app::{App, AppSetup};
use bailiwick_testkit::client::Era;
use serde_json::Value;

use crate::scene::{client, port, setup, talk};
use crate::support::RawClient;

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|cause| panic!("{cause}: {self:?}"))
    }

    /// Every byte of it.
    pub(crate) fn whole(&self) -> String {
        format!("{}\r\n\r\n{}", self.head, self.body)
    }

    /// A header; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.head.lines().find_map(|line| line.split_once(": ").filter(|(given, _)| given.eq_ignore_ascii_case(name)));
        found.map_or("", |(_, value)| value.trim_end())
    }

    /// The code of a refusal, which must have the shape of one.
    pub(crate) fn code(&self) -> String {
        if self.header("content-type") == "application/json" {
            let error = &self.json()["error"];
            for member in ["error_code", "message", "hint"] {
                assert!(error[member].is_string(), "{member} in {self:?}");
            }
            return error["error_code"].as_str().unwrap().to_owned();
        }
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        for member in ["type", "title", "detail", "instance", "hint"] {
            assert!(problem[member].is_string(), "{member} in {problem}");
        }
        assert_eq!(problem["status"], self.status, "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// A request, sent on a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: Option<String>,
}

impl<'a> Ask<'a> {
    pub(crate) fn by(key: &'a str) -> Self {
        Self { key: Some(key), headers: Vec::new(), body: None }
    }

    pub(crate) fn anybody() -> Self {
        Self { key: None, headers: Vec::new(), body: None }
    }

    pub(crate) fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    pub(crate) fn text(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    pub(crate) fn send(self, app: &App, method: &str, target: &str) -> Answer {
        let named = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut text = format!("{method} {target} HTTP/1.1\r\nconnection: close\r\n");
        if !named("host") {
            text.push_str(&format!("host: 127.0.0.1:{}\r\n", port(app)));
        }
        if let Some(key) = self.key {
            text.push_str(&format!("authorization: Bearer {key}\r\n"));
        }
        if self.body.is_some() && !named("content-type") {
            text.push_str("content-type: application/json\r\n");
        }
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.body {
            Some(body) => text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len())),
            None => text.push_str("\r\n"),
        }
        let mut client = RawClient::connect(([127, 0, 0, 1], port(app)).into());
        client.send(&text);
        let whole = client.read_to_end();
        let (head, body) = whole.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {target}: no answer: {whole}"));
        let answer = Answer { status: head[9..12].parse().unwrap(), head: head.to_owned(), body: body.to_owned() };
        // Whatever is answered: nobody keeps it, nobody guesses at it.
        assert_eq!((answer.header("cache-control"), answer.header("x-content-type-options")), ("no-store", "nosniff"), "{method} {target}");
        answer
    }
}

/// Two organisations and who is in them, one above both, and their keys.
pub(crate) struct Town {
    pub(crate) app: App,
    keys: Vec<(&'static str, String)>,
}

/// Name, organisation, subject: `tom` has no key, because stories remove him.
const PEOPLE: [(&str, &str, &str, &str); 6] = [
    ("org_admin", "acme", "ann", "org_admin"),
    ("himself", "acme", "bob", "member"),
    ("member", "acme", "mia", "member"),
    ("group_admin", "acme", "gil", "group_admin"),
    ("group", "acme", "lee", "member"),
    ("foreign", "beta", "bea", "org_admin"),
];

impl Town {
    /// `more` is added to the configuration.
    pub(crate) fn new(more: &str) -> Self {
        Self::of(setup(more))
    }

    /// The same around this program.
    pub(crate) fn of(setup: AppSetup) -> Self {
        for org in ["acme", "beta", "ops"] {
            done(&setup, &["org", "create", org]);
        }
        for (_, org, sub, role) in PEOPLE {
            done(&setup, &["user", "add", sub, "--role", role, "--org", org]);
        }
        done(&setup, &["user", "add", "tom", "--org", "acme"]);
        done(&setup, &["user", "add", "pam", "--org", "ops"]);
        done(&setup, &["group", "create", "data", "--name", "Data people", "--org", "acme"]);
        for (sub, role) in [("gil", "group_admin"), ("lee", "group_admin"), ("bob", "member"), ("tom", "member")] {
            done(&setup, &["group", "add", "data", sub, "--role", role, "--org", "acme"]);
        }
        done(&setup, &["platform-admin", "add", "pam", "--org", "ops"]);
        done(&setup, &["agent", "create", "worker", "--agent-type", "reader", "--org", "acme"]);
        let people = PEOPLE.iter().map(|(name, org, sub, _)| (*name, key(&setup, org, Some(sub))));
        let mut keys: Vec<_> = people.collect();
        keys.push(("platform_admin", key(&setup, "ops", Some("pam"))));
        keys.push(("agent", key(&setup, "acme", None)));
        keys.push((
            "writer",
            done(&setup, &["key", "create", "--org", "acme", "--agent-id", "pen", "--agent-type", "writer"]).trim().to_owned(),
        ));
        Self { app: setup.start(), keys }
    }

    /// The key of whoever is called so.
    pub(crate) fn key(&self, name: &str) -> &str {
        let found = self.keys.iter().find(|(known, _)| *known == name);
        &found.unwrap_or_else(|| panic!("nobody is called {name}")).1
    }

    /// What a tool gives to whoever is called `name`.
    pub(crate) fn call(&self, name: &str, tool: &str, arguments: Value) -> Value {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { client(&self.app, self.key(name), Era::Modern).call(tool, arguments).await.unwrap() })
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(_, key)| key.as_str())
    }

    /// A request of whoever is called `name`.
    pub(crate) fn ask(&self, name: &str, method: &str, target: &str, body: Option<&Value>) -> Answer {
        let ask = Ask::by(self.key(name));
        match body {
            Some(body) => ask.json(body).send(&self.app, method, target),
            None => ask.send(&self.app, method, target),
        }
    }
}

fn key(setup: &AppSetup, org: &str, sub: Option<&str>) -> String {
    let mut args = vec!["key", "create", "--org", org, "--agent-id", "desk", "--agent-type", "reader"];
    args.extend(sub.iter().flat_map(|sub| ["--user", sub]));
    done(setup, &args).trim().to_owned()
}

/// What a command says on stdout; it must succeed.
pub(crate) fn done(setup: &AppSetup, args: &[&str]) -> String {
    let output = setup.command(args);
    assert!(output.status.success(), "{args:?}: {}", talk(&output));
    String::from_utf8(output.stdout).unwrap()
}
