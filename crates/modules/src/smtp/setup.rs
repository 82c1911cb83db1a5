//! From configuration and credentials to a sender, its recipients and a server.

use std::net::IpAddr;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::dialogue::{Login, Protection, Server};
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::egress::{BaseUrl, Rules};
use crate::fault::OpenFault;
use crate::module::{CredentialKey, ModuleSetup};
use crate::service::{self, ALLOW_PRIVATE, CA_FILE};
use crate::withheld::Withheld;

/// Most entries under `allowed_recipients`.
const RECIPIENTS_MAX: usize = 1_000;
/// Longest address (RFC 5321, 4.5.3.1.3, without the angle brackets).
const ADDRESS_BYTES_MAX: usize = 254;
const TIMEOUT_SECONDS: u64 = 20;
const TIMEOUT_SECONDS_CEILING: u64 = 300;
const BODY_BYTES: u64 = 256 << 10;
const BODY_BYTES_CEILING: u64 = 8 << 20;
/// The port of mail submission with TLS from the first byte (RFC 8314).
const IMPLICIT_TLS_PORT: u16 = 465;

const HOST: &str = "SMTP_HOST";
const PORT: &str = "SMTP_PORT";
const USER: &str = "SMTP_USER";
const PASSWORD: &str = "SMTP_PASSWORD";
const FROM: &str = "from_address";
const RECIPIENTS: &str = "allowed_recipients";
const TLS: &str = "tls";
const AUTH: &str = "auth";
const NONE: &str = "none";
const TLS_WORDS: [&str; 3] = ["starttls", "implicit", NONE];
const AUTH_WORDS: [&str; 2] = ["password", NONE];

pub(super) const KEYS: &[ConfigKey] = &[
    ConfigKey { name: FROM, required: true, doc: "Sender of every mail: an address, or `Name <address>`.", kind: ConfigKind::Text },
    ConfigKey {
        name: RECIPIENTS,
        required: true,
        doc: "Addresses that may be written to; agents name them exactly, only the domain may be in another case.",
        kind: ConfigKind::TextList,
    },
    ConfigKey {
        name: TLS,
        required: false,
        doc: "starttls, implicit, or none (to this machine only). Default starttls, on port 465 implicit.",
        kind: ConfigKind::OneOf(&TLS_WORDS),
    },
    ConfigKey {
        name: AUTH,
        required: false,
        doc: "password, or none for a server that asks for no login. Default password.",
        kind: ConfigKind::OneOf(&AUTH_WORDS),
    },
    ConfigKey {
        name: "timeout_seconds",
        required: false,
        doc: "Longest time for delivering one mail to the server. Default 20.",
        kind: ConfigKind::Integer,
    },
    ConfigKey { name: "max_body_bytes", required: false, doc: "Largest body, in bytes. Default 256 KiB.", kind: ConfigKind::Integer },
    ALLOW_PRIVATE,
    CA_FILE,
];

/// What a call is held to.
pub(super) struct Settings {
    pub(super) from: Mailbox,
    pub(super) recipients: Vec<Address>,
    pub(super) body_bytes_max: u64,
}

/// Without login neither user nor password is asked for.
pub(super) fn credentials(config: &Map<String, Value>) -> Vec<CredentialKey> {
    let login = config.get(AUTH).and_then(Value::as_str) != Some(NONE);
    let names: &[&'static str] = if login { &[HOST, PORT, USER, PASSWORD] } else { &[HOST, PORT] };
    names.iter().map(|name| CredentialKey::required(name)).collect()
}

/// Every mistake that the configuration alone shows.
pub(super) fn check(config: &ConfigReader<'_>) -> Vec<OpenFault> {
    let own = [from(config).err(), tls(config).err(), has_login(config).err(), timeout(config).err(), body_bytes_max(config).err()];
    let recipients = each_recipient(config).into_iter().filter_map(Result::err);
    own.into_iter().flatten().chain(recipients).chain(service::range_faults(config)).collect()
}

pub(super) fn settings(config: &ConfigReader<'_>) -> Result<Settings, OpenFault> {
    let recipients = each_recipient(config).into_iter().collect::<Result<_, _>>()?;
    Ok(Settings { from: from(config)?, recipients, body_bytes_max: body_bytes_max(config)? })
}

/// The server with its login; both are told nothing before the first call.
pub(super) fn server(setup: &ModuleSetup<'_>, config: &ConfigReader<'_>) -> Result<Server, OpenFault> {
    let port = port(service::credential(setup, PORT)?.expose_secret())?;
    let host = host(service::credential(setup, HOST)?.expose_secret())?;
    let usual = if port == IMPLICIT_TLS_PORT { Protection::Implicit } else { Protection::StartTls };
    let protection = tls(config)?.unwrap_or(usual);
    if protection == Protection::None && !is_here(&host) {
        return Err(OpenFault::about(TLS, "is none, and the mail server is not this machine", "use starttls or implicit"));
    }
    let (login, withheld) = if has_login(config)? { login(setup)? } else { (None, Withheld::default()) };
    let rules = Rules::for_configured_host(&host, service::private_ranges(config, ALLOW_PRIVATE.name)?);
    let (egress, tls) = (setup.host.egress.clone(), service::trust(config)?.without_alpn());
    Ok(Server { host, port, protection, login, rules, egress, tls, timeout: timeout(config)?, withheld })
}

fn login(setup: &ModuleSetup<'_>) -> Result<(Option<Login>, Withheld), OpenFault> {
    let text = |name| {
        let value = service::credential(setup, name)?.expose_secret();
        let fault = || OpenFault::about(name, "holds a NUL", "check the credential");
        if value.contains('\0') { Err(fault()) } else { Ok(value) }
    };
    let (user, password) = (text(USER)?, text(PASSWORD)?);
    let login = Login::new(user, password);
    for secret in login.secrets() {
        setup.host.secrets.learn(secret);
    }
    // Of the user only the encoded form: in plain it is often the sender's address, which a refusal has to name.
    let withheld = Withheld::new(login.secrets().into_iter().chain([password]));
    Ok((Some(login), withheld))
}

fn port(text: &str) -> Result<u16, OpenFault> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.filter(|port| *port != 0).ok_or_else(|| OpenFault::about(PORT, "is not a port", "write a number from 1 to 65535"))
}

/// The host alone, read by the rules for every configured address.
fn host(text: &str) -> Result<String, OpenFault> {
    let fault = |rule: &str| OpenFault::about(HOST, rule, "write the name or address of the mail server alone");
    let bracketed = if text.parse::<std::net::Ipv6Addr>().is_ok() { format!("[{text}]") } else { text.to_owned() };
    let base = BaseUrl::parse(&format!("https://{bracketed}")).map_err(fault)?;
    // A port or path would be a second word on what the other credential says.
    if base.port == 443 && base.path.is_empty() && !text.contains('/') && !bracketed.ends_with(":443") {
        Ok(base.host)
    } else {
        Err(fault("holds more than a host"))
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn from(config: &ConfigReader<'_>) -> Result<Mailbox, OpenFault> {
    let text = config.needed(FROM)?;
    let fault = || OpenFault::about(FROM, "is not a mail address", "write `name@domain` or `Name <name@domain>`");
    if text.chars().any(char::is_control) {
        return Err(fault());
    }
    text.parse().ok().filter(|mailbox: &Mailbox| is_sendable(&mailbox.email)).ok_or_else(fault)
}

fn each_recipient(config: &ConfigReader<'_>) -> Vec<Result<Address, OpenFault>> {
    let fault = |what: &str| vec![Err(OpenFault::about(RECIPIENTS, what, format!("list 1 to {RECIPIENTS_MAX} addresses")))];
    match config.texts(RECIPIENTS) {
        Err(fault) => vec![Err(fault)],
        Ok(list) if list.is_empty() => fault("is missing or empty"),
        Ok(list) if list.len() > RECIPIENTS_MAX => fault("has too many addresses"),
        Ok(list) => list.into_iter().enumerate().map(recipient).collect(),
    }
}

fn recipient((index, text): (usize, &str)) -> Result<Address, OpenFault> {
    text.parse().ok().filter(is_sendable).ok_or_else(|| {
        OpenFault::about(format!("{RECIPIENTS}.{index}"), "is not a mail address", "write one address like `name@domain`, ASCII only")
    })
}

/// Whether the address can stand in a command as it is: no quoted forms, no characters that would need an extension.
fn is_sendable(address: &Address) -> bool {
    let text: &str = address.as_ref();
    text.len() <= ADDRESS_BYTES_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'\\' | b',' | b';'))
}

fn tls(config: &ConfigReader<'_>) -> Result<Option<Protection>, OpenFault> {
    match config.text(TLS)? {
        None => Ok(None),
        Some("starttls") => Ok(Some(Protection::StartTls)),
        Some("implicit") => Ok(Some(Protection::Implicit)),
        Some(NONE) => Ok(Some(Protection::None)),
        Some(_) => Err(OpenFault::about(TLS, "is not a kind of TLS", format!("use one of: {}", TLS_WORDS.join(", ")))),
    }
}

fn has_login(config: &ConfigReader<'_>) -> Result<bool, OpenFault> {
    match config.text(AUTH)? {
        None | Some("password") => Ok(true),
        Some(NONE) => Ok(false),
        Some(_) => Err(OpenFault::about(AUTH, "is not a kind of login", format!("use one of: {}", AUTH_WORDS.join(", ")))),
    }
}

fn timeout(config: &ConfigReader<'_>) -> Result<Duration, OpenFault> {
    config.integer("timeout_seconds", TIMEOUT_SECONDS, 1, TIMEOUT_SECONDS_CEILING).map(Duration::from_secs)
}

fn body_bytes_max(config: &ConfigReader<'_>) -> Result<u64, OpenFault> {
    config.integer("max_body_bytes", BODY_BYTES, 1, BODY_BYTES_CEILING)
}
