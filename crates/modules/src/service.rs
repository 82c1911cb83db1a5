//! What modules over an HTTP service have in common: reading its address, and turning answers into results and refusals.

use std::time::Duration;

use bailiwick_model::Code;
use bailiwick_model::address::Cidr;
use http::{HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::arguments::clean;
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::egress::{BaseUrl, HttpAnswer, HttpClient, HttpFault, HttpFaultKind, HttpLimits, Rules, Tls};
use crate::fault::{OpenFault, ToolFault};
use crate::host::Host;
use crate::module::ModuleSetup;

/// Most characters of a service's error text that reach the agent.
const BODY_CHARS_MAX: usize = 512;
/// Most ranges under `allow_private`.
const RANGES_MAX: usize = 64;

/// The keys every module over a configured service understands; a module lists them beside its own.
pub const ALLOW_PRIVATE: ConfigKey = ConfigKey {
    name: "allow_private",
    required: false,
    doc: "Ranges of private addresses (CIDR) that the service's name may lead to. Default: none; an address written out is allowed as it is.",
    kind: ConfigKind::TextList,
};
/// See [`ALLOW_PRIVATE`].
pub const CA_FILE: ConfigKey = ConfigKey {
    name: "ca_file",
    required: false,
    doc: "PEM file of further certificate authorities to trust for this service.",
    kind: ConfigKind::Text,
};

/// The ranges an operator opened.
///
/// # Errors
/// [`OpenFault`] about `key` naming the entry that is no range.
pub fn private_ranges(config: &ConfigReader<'_>, key: &str) -> Result<Vec<Cidr>, OpenFault> {
    each_range(config, key).into_iter().collect()
}

/// Every mistake under [`ALLOW_PRIVATE`]; for [`ModuleKind::check`](crate::ModuleKind::check).
#[must_use]
pub fn range_faults(config: &ConfigReader<'_>) -> Vec<OpenFault> {
    each_range(config, ALLOW_PRIVATE.name).into_iter().filter_map(Result::err).collect()
}

fn each_range(config: &ConfigReader<'_>, key: &str) -> Vec<Result<Cidr, OpenFault>> {
    let texts = match config.texts(key) {
        Ok(texts) if texts.len() > RANGES_MAX => {
            return vec![Err(OpenFault::about(key, format!("has more than {RANGES_MAX} ranges"), "write wider ranges"))];
        }
        Ok(texts) => texts,
        Err(fault) => return vec![Err(fault)],
    };
    let range = |(index, text): (usize, &str)| {
        Cidr::parse(text).map_err(|rule| OpenFault::about(format!("{key}.{index}"), rule, "write a range like `10.0.0.0/8` or one address"))
    };
    texts.into_iter().enumerate().map(range).collect()
}

/// The value of a credential that the kind declares as required.
///
/// # Errors
/// [`OpenFault`] about `name` when it was not lent.
pub fn credential<'a>(setup: &ModuleSetup<'a>, name: &str) -> Result<&'a SecretString, OpenFault> {
    setup.credentials.get(name).ok_or_else(|| OpenFault::about(name, "is missing or empty", "give it in the credential source"))
}

/// The trust settings: the platform's, and the file under `ca_file`.
///
/// # Errors
/// [`OpenFault`] about `ca_file` when it cannot be read or holds no certificate.
pub fn trust(config: &ConfigReader<'_>) -> Result<Tls, OpenFault> {
    config.text(CA_FILE.name)?.map_or_else(|| Ok(Tls::default()), |path| trust_file(CA_FILE.name, path))
}

/// The platform's trust settings and the authorities in the PEM file at `path`, which is configured under `key`.
///
/// # Errors
/// [`OpenFault`] about `key` when it cannot be read or holds no certificate.
pub fn trust_file(key: &str, path: &str) -> Result<Tls, OpenFault> {
    let fault = |cause: String| OpenFault::about(key, cause, "name a PEM file with the certificate of the authority");
    let pem = std::fs::read(path).map_err(|cause| fault(format!("cannot be read: {cause}")))?;
    Tls::trusting(&pem).map_err(|cause| fault(cause.to_string()))
}

/// A client for the service whose address stands in the configuration or credential `name`. An address that the operator wrote out is his
/// own word; a name must lead to public space or into `allow_private`.
///
/// # Errors
/// [`OpenFault`] about `name`, `allow_private` or `ca_file`. It never repeats the address, which may be a secret.
pub fn client(name: &str, address: &str, config: &ConfigReader<'_>, host: &Host, limits: HttpLimits) -> Result<HttpClient, OpenFault> {
    let base = BaseUrl::parse(address).map_err(|rule| OpenFault::about(name, rule, "write an address like `https://host/path`"))?;
    let rules = Rules::for_configured_host(&base.host, private_ranges(config, ALLOW_PRIVATE.name)?);
    Ok(HttpClient::new(base, host.egress.clone(), rules, trust(config)?, limits))
}

/// `Bearer <token>` or the like, marked as secret.
///
/// # Errors
/// [`OpenFault`] about the credential `name` when it holds what cannot stand in a header.
pub fn authorization(scheme: &str, name: &str, token: &SecretString) -> Result<HeaderValue, OpenFault> {
    let fault =
        |_| OpenFault::about(name, "holds a character that cannot stand in a header", "check the credential for line breaks and spaces");
    let mut value = HeaderValue::try_from(format!("{scheme} {}", token.expose_secret())).map_err(fault)?;
    value.set_sensitive(true);
    Ok(value)
}

impl From<HttpFault> for ToolFault {
    fn from(fault: HttpFault) -> Self {
        let (code, message, remedy) = match fault.kind {
            HttpFaultKind::Denied => (Code::EgressDenied, "the service's address may not be dialled", "ask the operator to open it"),
            HttpFaultKind::Unreachable => (Code::UpstreamUnreachable, "the service cannot be reached", "try again later"),
            HttpFaultKind::Tls => {
                (Code::UpstreamAuth, "the service's certificate is not trusted", "ask the operator to look at the service")
            }
            HttpFaultKind::Timeout => (Code::UpstreamTimeout, "the service did not answer in time", "try again later"),
            HttpFaultKind::Cancelled => return crate::context::cancelled(),
            HttpFaultKind::TooLarge(limit) => {
                let limit = u64::try_from(limit).unwrap_or(u64::MAX);
                return ToolFault::limit(
                    "max_response_bytes",
                    limit,
                    "the service's answer is too large",
                    "ask for a smaller part of the data",
                )
                .because(fault.detail);
            }
            HttpFaultKind::Protocol => {
                (Code::UpstreamProtocol, "the service gave an answer that cannot be read", "ask the operator to look at the service")
            }
            HttpFaultKind::Unsendable => {
                (Code::InvalidArgument, "the arguments make a request that cannot be written", "leave out control characters")
            }
        };
        let mut refusal = ToolFault::new(code, message, remedy).because(fault.detail);
        refusal.details = Some(json!({ "may_have_run": fault.sent }));
        refusal
    }
}

/// The answer itself when its status is 2xx.
///
/// # Errors
/// `upstream_redirect`, `upstream_auth` (401), otherwise `upstream_error`; `details` hold `status` and at most 512 characters of the
/// cleaned body without addresses (reference, tool modules section 5), and `retry_after_ms` when the service names a time. 429 and 503 are
/// retryable.
pub fn success(answer: HttpAnswer) -> Result<HttpAnswer, ToolFault> {
    let status = answer.status;
    if status.is_success() {
        return Ok(answer);
    }
    let (code, message, remedy) = match status {
        _ if status.is_redirection() => {
            (Code::UpstreamRedirect, "the service redirects, which is not followed", "ask the operator to correct the address")
        }
        StatusCode::UNAUTHORIZED => (Code::UpstreamAuth, "the service refused the gateway's credential", "ask the operator to renew it"),
        StatusCode::TOO_MANY_REQUESTS => (Code::UpstreamError, "the service asks for fewer calls", "wait, then call again"),
        StatusCode::SERVICE_UNAVAILABLE => (Code::UpstreamError, "the service is not available", "wait, then call again"),
        _ if status.is_server_error() => (Code::UpstreamError, "the service failed", "try again later"),
        _ => (Code::UpstreamError, "the service refused the request", "read `details.body` and change the arguments"),
    };
    let mut fault = ToolFault::new(code, format!("{message} (status {})", status.as_u16()), remedy);
    let mut details = json!({ "status": status.as_u16(), "body": shown(&String::from_utf8_lossy(&answer.body)) });
    fault.retryable = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    if let Some(wait) = retry_after(&answer).map(millis).filter(|_| fault.retryable) {
        fault.remedy = format!("wait {wait} ms, then call again");
        details["retry_after_ms"] = wait.into();
    }
    fault.details = Some(details);
    Err(fault)
}

/// The refusal of a service that was asked without a credential: there is none to renew.
pub(crate) fn without_credential(mut fault: ToolFault, remedy: &str) -> ToolFault {
    if fault.code == Code::UpstreamAuth && fault.details.as_ref().is_some_and(|details| details["status"] == 401) {
        "the service wants a credential, and none is configured for it (status 401)".clone_into(&mut fault.message);
        remedy.clone_into(&mut fault.remedy);
    }
    fault
}

/// The time after which the same request is welcome (RFC 9110, 10.2.3): seconds, or a date, which is held against the service's own clock.
pub(crate) fn retry_after(answer: &HttpAnswer) -> Option<Duration> {
    let text = |name| answer.headers.get(name)?.to_str().ok().map(str::trim);
    let given = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = given.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
    let seconds = date(given)?.duration_since(date(text(header::DATE)?)?).as_secs();
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// Milliseconds for `details`.
pub(crate) fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

/// The body as JSON.
///
/// # Errors
/// `upstream_protocol` when it is none.
pub fn json_body(answer: &HttpAnswer) -> Result<Value, ToolFault> {
    serde_json::from_slice(without_mark(&answer.body)).map_err(|cause| {
        ToolFault::new(
            Code::UpstreamProtocol,
            "the service answered with something that is not JSON",
            "ask the operator to look at the service",
        )
        .because(cause)
    })
}

/// The body without the mark that some services put in front of UTF-8.
pub(crate) fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// What an agent sees of a service's own words: at most 512 characters, without control characters and addresses.
pub(crate) fn shown(text: &str) -> String {
    without_addresses(&clean(text))
}

/// Words that hold an address become `<url>`: an address may be a credential.
fn without_addresses(text: &str) -> String {
    let is_edge = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | ',' | '`');
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().map(Some).chain([None]) {
        match c {
            Some(c) if !is_edge(c) => word.push(c),
            edge => {
                out.push_str(if word.contains("://") || word.contains("%3A%2F%2F") { "<url>" } else { &word });
                word.clear();
                out.extend(edge);
            }
        }
    }
    out.chars().take(BODY_CHARS_MAX).collect()
}

/// Ten seconds and 1 MiB, for services that only confirm.
pub const NOTIFIER_LIMITS: HttpLimits = HttpLimits { timeout: Duration::from_secs(10), response_bytes_max: 1 << 20 };

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &'static str) -> HttpAnswer {
        HttpAnswer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::from_static(body.as_bytes()) }
    }

    #[test]
    fn a_refusal_shows_status_and_cleaned_text_but_no_address() {
        let fault = success(answer(404, "no hook at https://hooks.example/T0/B0/key, \u{1b}[31msorry\u{1b}[0m")).unwrap_err();
        assert_eq!(fault.code, Code::UpstreamError);
        assert_eq!(fault.details.unwrap(), json!({"status": 404, "body": "no hook at <url>,  [31msorry [0m"}));
        assert_eq!(success(answer(302, "")).unwrap_err().code, Code::UpstreamRedirect);
        assert_eq!(success(answer(401, "")).unwrap_err().code, Code::UpstreamAuth);
        assert!(success(answer(204, "")).is_ok());
    }
}
