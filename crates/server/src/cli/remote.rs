//! A gateway somewhere else, administered through its API.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_model::address::Cidr;
use bailiwick_model::time::Clock;
use bailiwick_modules::egress::{BaseUrl, Egress, HttpAnswer, HttpClient, HttpLimits, HttpRequest, Rules, SystemNetwork, Tls, segment};
use bailiwick_modules::{CallContext, Cancel};
use http::{HeaderName, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::Value;

use crate::environment::Environment;
use crate::exit::{Exit, Failure};
use crate::http::api::envelope;
use crate::http::api::operation::{Ask, Operation};
use crate::http::api::problem::ProblemDetails;
use crate::http::api::route::is_nothing;
use crate::settings::read_text;

/// How long one exchange may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Largest answer: a page of 500 events with their arguments.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Holds the key.
const KEY_VARIABLE: &str = "BAILIWICK_KEY";
/// Names the file that holds it.
const KEY_FILE_VARIABLE: &str = "BAILIWICK_KEY_FILE";

/// See the module.
pub(crate) struct Remote {
    client: HttpClient,
    key: SecretString,
    clock: Arc<dyn Clock>,
}

impl Remote {
    /// A gateway at `server`, with the key that the environment holds or names.
    ///
    /// # Errors
    /// [`Exit::Usage`] for an address that cannot be used or would carry the key in clear, or when there is no key.
    pub(super) fn new(server: &str, environment: &Environment, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let base = BaseUrl::parse(server).map_err(|rule| Failure::new(Exit::Usage, format!("`--server` {rule}")))?;
        if !base.https && !is_loopback(&base.host) {
            let failure = Failure::new(Exit::Usage, "`--server` would carry the key in clear over the network");
            return Err(failure.hint("use `https://`; only this machine may be spoken to without"));
        }
        let limits = HttpLimits { timeout: ANSWER_MAX, response_bytes_max: ANSWER_BYTES_MAX };
        // Whoever runs the command chose the address himself, and gateways stand in private networks.
        let everywhere = ["0.0.0.0/0", "::/0"].iter().filter_map(|block| Cidr::parse(block).ok()).collect();
        let rules = Rules::for_configured_host(&base.host, everywhere);
        let client = HttpClient::new(base, Egress::new(Arc::new(SystemNetwork)), rules, Tls::default(), limits);
        Ok(Self { client, key: key(environment)?, clock: Arc::clone(clock) })
    }

    /// Does an operation there.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] when the gateway does not answer, otherwise what it says.
    pub(super) async fn send<O: Operation>(&self, ask: Ask<O>) -> Result<O::Answer, Failure> {
        let request = self.request(&ask)?;
        let cancel = Cancel::new();
        let context = CallContext { deadline: Instant::now() + ANSWER_MAX, cancel: &cancel, call: O::FACTS.id, now: self.clock.now() };
        let answer = self.client.send(request, context).await.map_err(|fault| self.unreachable(&fault))?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let body = if answer.status == StatusCode::NO_CONTENT { b"{}" } else { &answer.body[..] };
        let read = if envelope::covers(O::FACTS.path) {
            serde_json::from_slice(body).map(|envelope::Data { data }| data)
        } else {
            serde_json::from_slice(body)
        };
        read.map_err(|_| {
            let failure = Failure::new(Exit::Failed, "the gateway's answer is not of the shape that this program knows");
            failure.hint("compare the versions of both with `bailiwick --version`")
        })
    }

    fn request<O: Operation>(&self, ask: &Ask<O>) -> Result<HttpRequest, Failure> {
        let target = format!("{}{}", filled(O::FACTS.path, &json(&ask.path)?), query(&json(&ask.query)?));
        let mut credential = HeaderValue::try_from(format!("Bearer {}", self.key.expose_secret()))
            .map_err(|_| Failure::new(Exit::Usage, "the key holds characters that no key has"))?;
        credential.set_sensitive(true);
        let mut request = HttpRequest::new(O::FACTS.verb.method(), self.client.base().at(&target)).with(header::AUTHORIZATION, credential);
        if let Some(version) = ask.expected {
            request =
                request.with(header::IF_MATCH, HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("*")));
        }
        request = request.with(HeaderName::from_static("accept"), HeaderValue::from_static("application/json, application/problem+json"));
        if let Some(org) = ask.org.as_ref().and_then(|org| HeaderValue::try_from(org.as_str()).ok()) {
            request = request.with(envelope::ORG, org);
        }
        if is_nothing::<O::Body>() {
            return Ok(request);
        }
        let body = serde_json::to_vec(&ask.body).map_err(|cause| Failure::new(Exit::Failed, format!("cannot write as JSON: {cause}")))?;
        Ok(request.with_body("application/json", body))
    }

    fn unreachable(&self, fault: &bailiwick_modules::egress::HttpFault) -> Failure {
        let failure = Failure::new(Exit::Unavailable, format!("{} does not answer: {fault}", self.client.base().origin()));
        failure.hint("check `--server`, and that the gateway runs")
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn key(environment: &Environment) -> Result<SecretString, Failure> {
    let given = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    match (given(KEY_VARIABLE), given(KEY_FILE_VARIABLE)) {
        (Some(_), Some(_)) => {
            Err(Failure::new(Exit::Usage, format!("both `{KEY_VARIABLE}` and `{KEY_FILE_VARIABLE}` are set")).hint("keep one of them"))
        }
        (Some(key), None) => Ok(SecretString::from(key.as_str())),
        (None, Some(path)) => Ok(SecretString::from(read_text(path.as_ref(), "file of the key")?.trim().to_owned())),
        (None, None) => {
            let failure = Failure::new(Exit::Denied, "there is no key for the gateway of `--server`");
            Err(failure.hint(format!("put it into `{KEY_VARIABLE}`, or into a file that `{KEY_FILE_VARIABLE}` names")))
        }
    }
}

fn json(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|cause| Failure::new(Exit::Failed, format!("cannot write as JSON: {cause}")))
}

/// The path with its parameters, each encoded once.
fn filled(path: &str, parameters: &Value) -> String {
    let mut filled = path.to_owned();
    for (name, value) in parameters.as_object().into_iter().flatten() {
        // A segment of dots alone means another path to whatever stands in between.
        let encoded = segment(value.as_str().unwrap_or_default()).replace('.', "%2E");
        filled = filled.replace(&format!("{{{name}}}"), &encoded);
    }
    filled
}

fn query(parameters: &Value) -> String {
    let mut writer = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in parameters.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        writer.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let query = writer.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

/// What happened, what to do, and the event, in either shape.
fn told(body: &[u8]) -> Option<(String, String, Option<String>)> {
    if let Ok(problem) = serde_json::from_slice::<ProblemDetails>(body) {
        return Some((problem.detail, problem.hint, problem.event_id));
    }
    let envelope::ErrorBody { error } = serde_json::from_slice(body).ok()?;
    Some((error.message, error.hint, error.event_id))
}

fn refused(answer: &HttpAnswer) -> Failure {
    let exit = match answer.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Exit::Denied,
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED | StatusCode::GONE => Exit::Conflict,
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Exit::Usage,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Exit::Unavailable
        }
        _ => Exit::Failed,
    };
    let Some((detail, hint, event)) = told(&answer.body) else {
        let failure = Failure::new(exit, format!("the gateway answered {}", answer.status));
        return failure.hint("is it a gateway with a management API that `--server` names?");
    };
    // What comes from elsewhere must not drive the terminal.
    let shown = super::output::printable;
    let failure = Failure::new(exit, shown(&detail)).hint(shown(&hint));
    match event {
        Some(event) => failure.event(shown(&event)),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_encoded_once() {
        assert_eq!(
            filled("/v1/orgs/{org}/members/{sub}", &json!({"org": "acme", "sub": "a/b%.?"})),
            "/v1/orgs/acme/members/a%2Fb%25%2E%3F"
        );
        assert_eq!(query(&json!({"limit": 5, "cursor": "a b", "kind": null})), "?cursor=a+b&limit=5");
        assert_eq!(query(&json!({})), "");
    }

    #[test]
    fn a_key_never_crosses_the_network_in_clear() {
        let environment = Environment::from([("BAILIWICK_KEY".to_owned(), "bw_x".to_owned())]);
        let clock: Arc<dyn Clock> = Arc::new(crate::system::SystemClock);
        for (server, fits) in [
            ("http://127.0.0.1:8700", true),
            ("http://[::1]:8700", true),
            ("http://localhost", true),
            ("https://gateway.example", true),
            ("http://gateway.example", false),
            ("http://10.0.0.1", false),
            ("ftp://x", false),
        ] {
            assert_eq!(Remote::new(server, &environment, &clock).is_ok(), fits, "{server}");
        }
        assert_eq!(Remote::new("https://x.example", &Environment::new(), &clock).err().unwrap().exit(), Exit::Denied);
    }
}
