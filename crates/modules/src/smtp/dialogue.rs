//! The conversation with a mail server (RFC 5321): greeting, TLS (RFC 3207, RFC 8314), authentication (RFC 4954), envelope, content.

use std::time::Duration;

use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout, timeout_at};

use super::fault;
use super::message::Letter;
use super::wire::{Reply, Wire};
use crate::context::{CallContext, cancelled};
use crate::egress::{Egress, EgressError, HttpFault, HttpFaultKind, Rules, Tls};
use crate::fault::ToolFault;
use crate::withheld::Withheld;

/// Time for saying good-bye after the mail was taken.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// How we introduce ourselves: an address literal, as clients without a public name do.
const HELLO: &str = "EHLO [127.0.0.1]";

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protection {
    /// TLS after a command; required.
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// Not at all; to this machine only.
    None,
}

/// User and password in the forms in which they are sent.
pub(super) struct Login {
    plain: SecretString,
    user: SecretString,
    password: SecretString,
}

impl Login {
    pub(super) fn new(user: &str, password: &str) -> Self {
        let encoded = |text: &str| SecretString::from(BASE64.encode(text.as_bytes()));
        Self { plain: encoded(&format!("\0{user}\0{password}")), user: encoded(user), password: encoded(password) }
    }

    /// Each form in which the login is sent.
    pub(super) fn secrets(&self) -> [&str; 3] {
        [&self.plain, &self.user, &self.password].map(ExposeSecret::expose_secret)
    }
}

/// A mail server and how to reach it.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) protection: Protection,
    pub(super) login: Option<Login>,
    pub(super) rules: Rules,
    pub(super) egress: Egress,
    pub(super) tls: Tls,
    pub(super) timeout: Duration,
    /// What a refusal of the server must not repeat.
    pub(super) withheld: Withheld,
}

/// Why a mail did not go: by the connection, or by what the server said.
enum Failed {
    Transport(HttpFault),
    Said(ToolFault),
}

impl From<HttpFault> for Failed {
    fn from(fault: HttpFault) -> Self {
        Self::Transport(fault)
    }
}

impl From<ToolFault> for Failed {
    fn from(fault: ToolFault) -> Self {
        Self::Said(fault)
    }
}

impl Server {
    /// Hands one letter over. It went when this succeeds; it may have gone when the fault's details say so.
    pub(super) async fn send(&self, letter: &Letter, context: CallContext<'_>) -> Result<(), ToolFault> {
        let until = (Instant::now() + self.timeout).min(context.deadline.into());
        let mut sent = false;
        let ended = tokio::select! {
            biased;
            () = context.cancel.cancelled() => return Err(cancelled()),
            done = timeout_at(until, self.converse(letter, &mut sent)) => done,
        };
        let failed = match ended {
            Ok(Ok(mut wire)) => {
                // The mail is taken; what becomes of the good-bye changes nothing.
                let _ = timeout(QUIT_TIMEOUT, wire.command("QUIT")).await;
                return Ok(());
            }
            Ok(Err(failed)) => failed,
            Err(_) => HttpFault { kind: HttpFaultKind::Timeout, sent, detail: "the mail server took too long".to_owned() }.into(),
        };
        Err(match failed {
            Failed::Transport(fault) => HttpFault { sent, ..fault }.into(),
            Failed::Said(fault) => fault,
        })
    }

    async fn converse(&self, letter: &Letter, sent: &mut bool) -> Result<Wire, Failed> {
        let (mut wire, offered) = self.connect().await?;
        if let Some(login) = &self.login {
            authenticate(&mut wire, &offered, login).await?;
        }
        let from = wire.command(&format!("MAIL FROM:<{}>", letter.from)).await?;
        self.expect(&[250], "the sender", from)?;
        let to = wire.command(&format!("RCPT TO:<{}>", letter.to)).await?;
        self.expect(&[250, 251], "the recipient", to)?;
        self.expect(&[354], "the mail", wire.command("DATA").await?)?;
        *sent = true;
        self.expect(&[250], "the mail", wire.exchange(&letter.content).await?)?;
        Ok(wire)
    }

    /// A connection that is protected as configured, greeted, with what the server offers on it.
    async fn connect(&self) -> Result<(Wire, Reply), Failed> {
        let (mut wire, offered) = self.greet().await?;
        if self.protection != Protection::StartTls {
            return Ok((wire, offered));
        }
        if offered.extension("STARTTLS").is_none() {
            return Err(fault::no_tls().into());
        }
        self.expect(&[220], "TLS", wire.command("STARTTLS").await?)?;
        let stream = self.tls.wrap(wire.into_stream()?, &self.host).await.map_err(|cause| HttpFault::from(EgressError::Tls(cause)))?;
        let mut wire = Wire::new(stream);
        // What was offered without protection counts for nothing.
        let offered = self.hello(&mut wire).await?;
        Ok((wire, offered))
    }

    async fn greet(&self) -> Result<(Wire, Reply), Failed> {
        let tls = (self.protection == Protection::Implicit).then_some(&self.tls);
        let mut wire = Wire::new(self.open(tls).await.map_err(HttpFault::from)?);
        self.expect(&[220], "the connection", wire.reply().await?)?;
        let offered = self.hello(&mut wire).await?;
        Ok((wire, offered))
    }

    async fn hello(&self, wire: &mut Wire) -> Result<Reply, Failed> {
        self.expect(&[250], "the greeting", wire.command(HELLO).await?)
    }

    fn expect(&self, codes: &[u16], what: &str, reply: Reply) -> Result<Reply, Failed> {
        if codes.contains(&reply.code) { Ok(reply) } else { Err(fault::refused(what, &reply, &self.withheld).into()) }
    }

    async fn open(&self, tls: Option<&Tls>) -> Result<Box<dyn crate::egress::Stream>, EgressError> {
        if self.protection != Protection::None || self.host != "localhost" {
            return self.egress.open(&self.host, self.port, tls, &self.rules).await;
        }
        // Without protection the name is not asked for: it must be this machine, whatever a name server says.
        match self.egress.open("127.0.0.1", self.port, None, &self.rules).await {
            Err(EgressError::Unreachable(_)) => self.egress.open("::1", self.port, None, &self.rules).await,
            opened => opened,
        }
    }
}

async fn authenticate(wire: &mut Wire, offered: &Reply, login: &Login) -> Result<(), Failed> {
    let mechanisms = offered.extension("AUTH").unwrap_or_default();
    let knows = |name| mechanisms.split([' ', '=']).any(|offered| offered == name);
    let last = if knows("PLAIN") {
        wire.command(&format!("AUTH PLAIN {}", login.plain.expose_secret())).await?
    } else if knows("LOGIN") {
        let mut reply = wire.command("AUTH LOGIN").await?;
        for answer in [&login.user, &login.password] {
            if reply.code != 334 {
                return Err(fault::login(&reply).into());
            }
            reply = wire.command(answer.expose_secret()).await?;
        }
        reply
    } else {
        return Err(fault::no_mechanism().into());
    };
    if last.code == 235 { Ok(()) } else { Err(fault::login(&last).into()) }
}
