//! Where an issuer's keys come from: its own words about itself (OpenID Connect Discovery 1.0 section 4, RFC 8414 section 3), then the key
//! set. Everything goes through the one guarded way out: addresses are checked, redirects are not followed, time and size are bounded.

use std::time::Duration;

use bailiwick_mcp::{Json, Limits};
use bailiwick_model::Timestamp;
use bailiwick_model::address::Cidr;
use bailiwick_model::config::IssuerConfig;
use bailiwick_modules::egress::{BaseUrl, Egress, HttpClient, HttpLimits, HttpRequest, Rules, Tls};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};

use super::key_set::{KEY_SET_BYTES_MAX, KeySet};
use crate::lock::Lock;
use crate::outward;

/// One look, all its requests together.
const LOOK_MAX: Duration = Duration::from_secs(10);
/// One request.
const REQUEST_MAX: Duration = Duration::from_secs(5);
/// Largest document of an issuer about itself.
const DOCUMENT_BYTES_MAX: usize = 256 << 10;
const DOCUMENT_LIMITS: Limits = Limits { bytes_max: DOCUMENT_BYTES_MAX, depth_max: 16, tokens_max: 20_000 };
/// How long the address of the keys is kept.
const ADDRESS_KEPT: Duration = Duration::from_secs(3600);

/// Where the keys of one issuer are.
pub(super) struct Source {
    issuer: String,
    jwks_uri: Option<String>,
    allow_private: Vec<Cidr>,
    egress: Egress,
    discovered: Lock<Option<(String, Timestamp)>>,
}

impl Source {
    pub(super) fn new(config: &IssuerConfig, egress: Egress) -> Self {
        let (issuer, jwks_uri) = (config.issuer.clone(), config.jwks_uri.clone());
        Self { issuer, jwks_uri, allow_private: config.allow_private.clone(), egress, discovered: Lock::default() }
    }

    /// The keys as they are now.
    ///
    /// # Errors
    /// What went wrong, for the operator.
    pub(super) async fn fetch(&self, now: Timestamp) -> Result<KeySet, String> {
        let fetched = tokio::time::timeout(LOOK_MAX, self.look(now)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(format!("no answer within {} seconds", LOOK_MAX.as_secs())));
        if fetched.is_err() {
            // It may have moved.
            *self.discovered.lock() = None;
        }
        fetched
    }

    async fn look(&self, now: Timestamp) -> Result<KeySet, String> {
        let own = BaseUrl::parse(&self.issuer).map_err(|rule| format!("the issuer {rule}"))?;
        let (base, target, rules) = match &self.jwks_uri {
            Some(written) => {
                let (base, target) = place(written)?;
                let rules = Rules::for_configured_host(&base.host, self.allow_private.clone());
                (base, target, rules)
            }
            None => {
                let (base, target) = place(&self.address(&own, now).await?)?;
                let rules = self.rules(&own, &base)?;
                (base, target, rules)
            }
        };
        let text = self.get(base, target, rules, KEY_SET_BYTES_MAX).await?;
        KeySet::read(&self.issuer, text)
    }

    /// `jwks_uri` of the issuer's own document.
    async fn address(&self, own: &BaseUrl, now: Timestamp) -> Result<String, String> {
        if let Some((known, at)) = &*self.discovered.lock()
            && now.since(*at).max(at.since(now)) < ADDRESS_KEPT
        {
            return Ok(known.clone());
        }
        let found = self.discover(own).await?;
        *self.discovered.lock() = Some((found.clone(), now));
        Ok(found)
    }

    async fn discover(&self, own: &BaseUrl) -> Result<String, String> {
        let rules = Rules::for_configured_host(&own.host, self.allow_private.clone());
        // The one puts its path behind that of the issuer, the other in front of it.
        let openid = own.at("/.well-known/openid-configuration");
        let oauth = format!("/.well-known/oauth-authorization-server{}", own.path);
        let mut faults = Vec::new();
        for target in [openid, oauth] {
            let answer = self.get(own.clone(), target.clone(), rules.clone(), DOCUMENT_BYTES_MAX).await;
            match answer.and_then(|text| self.keys_named_in(text)) {
                Ok(found) => return Ok(found),
                Err(fault) => faults.push(format!("{target}: {fault}")),
            }
        }
        Err(faults.join("; "))
    }

    /// A document counts only when it is about this very issuer (RFC 8414 section 3.3).
    fn keys_named_in(&self, text: Bytes) -> Result<String, String> {
        let document = Json::check(text, &DOCUMENT_LIMITS).map_err(|fault| format!("not strict JSON: {fault}"))?;
        if document.text_of("issuer").as_deref() != Some(self.issuer.as_str()) {
            return Err("the document is about another issuer".to_owned());
        }
        document.text_of("jwks_uri").map(std::borrow::Cow::into_owned).ok_or_else(|| "the document names no `jwks_uri`".to_owned())
    }

    /// The rules for an address that the issuer named. On the issuer's own host they are those of the issuer, which an operator wrote; any
    /// other has to be public, or in `allow_private`.
    fn rules(&self, own: &BaseUrl, base: &BaseUrl) -> Result<Rules, String> {
        let same_host = own.host == base.host;
        if !base.https && (own.https || !same_host) {
            return Err("the document names keys at an address without TLS".to_owned());
        }
        let allow_private = self.allow_private.clone();
        Ok(if same_host { Rules::for_configured_host(&base.host, allow_private) } else { Rules { allow_private } })
    }

    async fn get(&self, base: BaseUrl, target: String, rules: Rules, bytes_max: usize) -> Result<Bytes, String> {
        let limits = HttpLimits { timeout: REQUEST_MAX, response_bytes_max: bytes_max };
        let client = HttpClient::new(base, self.egress.clone(), rules, Tls::default(), limits);
        let request = HttpRequest::new(Method::GET, target)
            .with(header::ACCEPT, HeaderValue::from_static("application/json, application/jwk-set+json"));
        let answer = outward::send(&client, request, REQUEST_MAX, "issuer").await.map_err(|fault| fault.detail)?;
        match answer.status {
            StatusCode::OK => Ok(answer.body),
            status if status.is_redirection() => Err(format!("it redirects (status {}), which is not followed", status.as_u16())),
            status => Err(format!("status {}", status.as_u16())),
        }
    }
}

/// The address of a key set as origin and request target.
fn place(address: &str) -> Result<(BaseUrl, String), String> {
    outward::place(address).map_err(|rule| format!("the address of the keys {rule}"))
}
