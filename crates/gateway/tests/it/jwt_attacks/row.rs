//! One request of the table, and the token in it.

use bytes::Bytes;
use serde_json::{Value, json};

use super::keys::{self, Signer, base64};

/// The time of the table in seconds: 2026-07-28T09:30:00Z.
pub(crate) const NOW: i64 = 1_785_231_000;
pub(crate) const RESOURCE: &str = "http://127.0.0.1:8700/mcp";
pub(crate) const CORP: &str = "http://127.0.0.1:8485";
pub(crate) const PARTNER: &str = "http://127.0.0.1:8486/realms/p";
pub(crate) const NARROW: &str = "http://127.0.0.1:8487/t";

/// What is sent.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) headers: Vec<(&'static str, Bytes)>,
    pub(crate) query: &'static str,
    /// To the own endpoint of this server.
    pub(crate) server: Option<&'static str>,
    /// To the endpoint of this organisation.
    pub(crate) org: Option<&'static str>,
    /// Another message than `ping`, with what is in its `_meta` beside what must be there.
    pub(crate) meta: Option<Value>,
    /// What must not come back.
    pub(crate) secret: String,
}

impl Ask {
    pub(crate) fn nothing() -> Self {
        Self { headers: Vec::new(), query: "", server: None, org: None, meta: None, secret: String::new() }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Bytes>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn query(mut self, query: &'static str) -> Self {
        self.query = query;
        self
    }

    pub(crate) fn within(mut self, org: &'static str) -> Self {
        self.org = Some(org);
        self
    }

    /// Asks for the readme of 2026-07-28, which names the organisation.
    pub(crate) fn reading(mut self, meta: Value) -> Self {
        self.meta = Some(meta);
        self
    }

    pub(crate) fn at(mut self, server: &'static str) -> Self {
        self.server = Some(server);
        self
    }
}

impl From<String> for Ask {
    fn from(token: String) -> Self {
        Self { secret: token.clone(), ..Self::nothing().header("authorization", format!("Bearer {token}")) }
    }
}

impl From<&str> for Ask {
    fn from(token: &str) -> Self {
        Self::from(token.to_owned())
    }
}

impl From<Token> for Ask {
    fn from(token: Token) -> Self {
        Self::from(token.text())
    }
}

/// A request and its answer: the status, and the word of the record.
#[derive(Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) ask: Ask,
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
}

/// A forgery: 401, and the record says `reason`.
pub(crate) fn forged(name: impl Into<String>, reason: &'static str, ask: impl Into<Ask>) -> Row {
    Row { name: name.into(), ask: ask.into(), status: 401, reason }
}

/// A good token.
pub(crate) fn good(name: impl Into<String>, ask: impl Into<Ask>) -> Row {
    Row { name: name.into(), ask: ask.into(), status: 200, reason: "" }
}

/// A token in the making.
#[derive(Clone)]
pub(crate) struct Token {
    header: Value,
    claims: Value,
    signer: Signer,
}

impl Token {
    /// A good one of the issuer `corp`.
    pub(crate) fn corp() -> Self {
        Self {
            header: json!({"alg": "RS256", "typ": "at+jwt", "kid": "rsa-1"}),
            claims: json!({"iss": CORP, "aud": RESOURCE, "sub": "person-1", "iat": NOW - 10, "exp": NOW + 300, "client_id": "app-1"}),
            signer: Signer::Rs256(&keys::RSA),
        }
    }

    /// A good one of the issuer `partner`, which says everything by claims.
    pub(crate) fn partner() -> Self {
        Self {
            header: json!({"alg": "RS256", "typ": "JWT", "kid": "p-1"}),
            claims: json!({
                "iss": PARTNER, "aud": [RESOURCE], "sub": "person-2", "iat": NOW, "exp": NOW + 300, "azp": "app-2", "client_id": "agent-2",
                "tenant": {"id": "beta"}, "kind": "build", "groups": ["ops"], "access": {"roles": ["staff"]}, "email": "p@partner.example",
                "email_verified": true, "scope": "openid mcp:tools mcp:extra",
            }),
            signer: Signer::Rs256(&keys::PARTNER),
        }
    }

    /// A good one of the issuer `narrow`, which may use one algorithm and creates nothing.
    pub(crate) fn narrow() -> Self {
        Self {
            header: json!({"alg": "ES256", "kid": "n-1"}),
            claims: json!({"iss": NARROW, "aud": "api://gateway", "sub": "known", "iat": NOW, "exp": NOW + 300}),
            signer: Signer::Ec(&keys::NARROW),
        }
    }

    pub(crate) fn head(mut self, name: &str, value: Value) -> Self {
        self.header[name] = value;
        self
    }

    pub(crate) fn no_head(mut self, name: &str) -> Self {
        self.header.as_object_mut().unwrap().remove(name);
        self
    }

    pub(crate) fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims[name] = value;
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().unwrap().remove(name);
        self
    }

    /// Under another key.
    pub(crate) fn by(mut self, kid: &str, signer: Signer) -> Self {
        self.header["kid"] = json!(kid);
        self.signer = signer;
        self
    }

    /// Signed by something else, under the same name.
    pub(crate) fn signed(mut self, signer: Signer) -> Self {
        self.signer = signer;
        self
    }

    pub(crate) fn alg(self, alg: &str) -> Self {
        self.head("alg", json!(alg))
    }

    pub(crate) fn text(&self) -> String {
        compact(self.header.to_string(), self.claims.to_string(), &self.signer)
    }

    /// With other text for its claims.
    pub(crate) fn saying(&self, claims: &str) -> String {
        compact(self.header.to_string(), claims, &self.signer)
    }

    /// With other text for its header.
    pub(crate) fn headed(&self, header: &str) -> String {
        compact(header, self.claims.to_string(), &self.signer)
    }

    /// Its claims as text without the last brace.
    pub(crate) fn open_claims(&self) -> String {
        self.claims.to_string().trim_end_matches('}').to_owned()
    }

    /// The three parts.
    pub(crate) fn parts(&self) -> [String; 3] {
        let text = self.text();
        let mut parts = text.split('.').map(str::to_owned);
        [(); 3].map(|()| parts.next().unwrap())
    }
}

/// Signs any two texts as a token.
pub(crate) fn compact(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>, signer: &Signer) -> String {
    let signed = format!("{}.{}", base64(header.as_ref()), base64(claims.as_ref()));
    let signature = signer.sign(signed.as_bytes());
    format!("{signed}.{}", base64(&signature))
}
