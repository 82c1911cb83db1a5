//! A mail server that follows a script and keeps every line it hears.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bailiwick_modules::egress::Stream;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use crate::service::PipeNetwork;
use crate::tls::acceptor;

/// What the server says. Keys are the client's verbs, and `GREETING`, `USER` and `PASSWORD` (the answers to `AUTH LOGIN`) and `END` (the
/// content); a reply of [`SILENCE`] never comes, [`CLOSE`] ends the connection.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// TLS from the first byte.
    pub(crate) implicit: bool,
    /// What EHLO offers without and with TLS.
    pub(crate) offers: [&'static [&'static str]; 2],
    pub(crate) replies: BTreeMap<&'static str, String>,
}

pub(crate) const SILENCE: &str = "";
pub(crate) const CLOSE: &str = "close";

impl Default for Script {
    fn default() -> Self {
        Self { implicit: false, offers: [&["STARTTLS"], &["SIZE 1000", "AUTH PLAIN LOGIN"]], replies: BTreeMap::new() }
    }
}

impl Script {
    pub(crate) fn saying(mut self, verb: &'static str, reply: impl Into<String>) -> Self {
        self.replies.insert(verb, reply.into());
        self
    }

    pub(crate) fn offering(mut self, plain: &'static [&'static str], secured: &'static [&'static str]) -> Self {
        self.offers = [plain, secured];
        self
    }

    fn reply(&self, verb: &str, secured: bool) -> String {
        if let Some(scripted) = self.replies.get(verb) {
            return scripted.clone();
        }
        match verb {
            "EHLO" => {
                let lines = self.offers[usize::from(secured)].iter().map(|offer| format!("250-{offer}\r\n"));
                format!("250-mail.example\r\n{}250 HELP", lines.collect::<String>())
            }
            "GREETING" | "STARTTLS" => "220 ready".to_owned(),
            "AUTH" | "PASSWORD" => "235 welcome".to_owned(),
            "USER" => "334 UGFzc3dvcmQ6".to_owned(),
            "MAIL" | "RCPT" | "END" => "250 fine".to_owned(),
            "DATA" => "354 go on".to_owned(),
            "QUIT" => "221 bye".to_owned(),
            other => format!("500 {other}?"),
        }
    }
}

/// What the server heard: lines of commands, those under TLS marked with `*`, and contents as they came.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) contents: Mutex<Vec<String>>,
}

/// A network behind whose every address the server stands.
pub(crate) fn network(script: Script) -> (PipeNetwork, Arc<Heard>) {
    let heard = Arc::<Heard>::default();
    let log = heard.clone();
    let talk = move |stream| drop(tokio::spawn(serve(stream, script.clone(), log.clone())));
    (PipeNetwork::new(talk), heard)
}

async fn serve(stream: DuplexStream, script: Script, heard: Arc<Heard>) {
    let stream: Box<dyn Stream> = if script.implicit {
        let Ok(secured) = acceptor().accept(stream).await else { return };
        Box::new(secured)
    } else {
        Box::new(stream)
    };
    let mut session = Session { secured: script.implicit, line: BufReader::new(stream), script, heard };
    if session.say("GREETING").await.is_none() {
        return;
    }
    while let Some(line) = session.hear().await {
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let went_on = match (verb.as_str(), line.as_str()) {
            ("STARTTLS", _) => session.secure().await,
            ("AUTH", "AUTH LOGIN") => session.ask_login().await,
            ("DATA", _) => session.take_content().await,
            _ => session.say(&verb).await,
        };
        if went_on.is_none() || verb == "QUIT" {
            return;
        }
    }
}

struct Session {
    secured: bool,
    line: BufReader<Box<dyn Stream>>,
    script: Script,
    heard: Arc<Heard>,
}

impl Session {
    /// `None` when the conversation is over.
    async fn say(&mut self, verb: &str) -> Option<()> {
        match self.script.reply(verb, self.secured).as_str() {
            SILENCE => std::future::pending().await,
            CLOSE => None,
            reply => {
                self.line.write_all(format!("{reply}\r\n").as_bytes()).await.ok()?;
                self.line.flush().await.ok()
            }
        }
    }

    async fn hear(&mut self) -> Option<String> {
        let line = self.raw().await?;
        let line = line.strip_suffix("\r\n").expect("a command ends with CR LF").to_owned();
        let mark = if self.secured { "* " } else { "" };
        self.heard.lines.lock().unwrap().push(format!("{mark}{line}"));
        Some(line)
    }

    async fn raw(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let count = self.line.read_until(b'\n', &mut line).await.ok()?;
        (count > 0).then(|| String::from_utf8(line).unwrap())
    }

    async fn secure(&mut self) -> Option<()> {
        self.say("STARTTLS").await?;
        if !self.script.reply("STARTTLS", false).starts_with("220") {
            return Some(());
        }
        let nobody: Box<dyn Stream> = Box::new(tokio::io::empty());
        let bare = std::mem::replace(&mut self.line, BufReader::new(nobody)).into_inner();
        self.line = BufReader::new(Box::new(acceptor().accept(bare).await.ok()?));
        self.secured = true;
        Some(())
    }

    async fn ask_login(&mut self) -> Option<()> {
        self.line.write_all(b"334 VXNlcm5hbWU6\r\n").await.ok()?;
        self.line.flush().await.ok()?;
        for verb in ["USER", "PASSWORD"] {
            self.hear().await?;
            self.say(verb).await?;
            if !self.script.reply(verb, self.secured).starts_with('3') {
                break;
            }
        }
        Some(())
    }

    async fn take_content(&mut self) -> Option<()> {
        self.say("DATA").await?;
        if !self.script.reply("DATA", self.secured).starts_with("354") {
            return Some(());
        }
        let mut content = String::new();
        while !content.ends_with("\r\n.\r\n") {
            content.push_str(&self.raw().await?);
        }
        self.heard.contents.lock().unwrap().push(content);
        self.say("END").await
    }
}
