//! One authorization server whose tokens are accepted, and what it may say (security reference section 9).

use super::claims::{self, CLAIMS, ClaimPath, ClaimsConfig, ROLE};
use super::parse::org;
use crate::address::Cidr;
use crate::document::Place;
use crate::id::{AgentType, OrgId};
use crate::reader::{Field, Table};
use crate::role::Role;
use crate::shape::{Also, Choice, Key, Section, Shape, formats, words};
use crate::upstream::{address, is_plain_remote};

const ALGORITHMS: [(&str, TokenAlgorithm); 5] = [
    ("RS256", TokenAlgorithm::Rs256),
    ("PS256", TokenAlgorithm::Ps256),
    ("ES256", TokenAlgorithm::Es256),
    ("EdDSA", TokenAlgorithm::EdDsa),
    ("Ed25519", TokenAlgorithm::Ed25519),
];

pub(super) static ISSUER: Section = Section {
    path: "auth.issuers",
    doc: "One authorization server whose access tokens are accepted, and for whom it may speak.",
    keys: &[
        Key::new("name", Shape::Format(&formats::ISSUER_NAME), "What it is called here; ids of its agents begin with it.").required(),
        Key::new("issuer", Shape::Format(&formats::ISSUER), "Its issuer identifier, exactly as tokens have it in `iss`.").required(),
        Key::new(
            "audience",
            Shape::Format(&formats::AUDIENCE),
            "What tokens must have in `aud`, exactly. Absent: the address of the endpoint, `public_url` and `path` without `/` at the end.",
        ),
        Key::new(
            "algorithms",
            Shape::FullList(&Shape::Word(&words(&ALGORITHMS), Also::Nothing)),
            "Signature algorithms that it may use. Symmetric ones are not possible.",
        )
        .or(r#"["RS256", "PS256", "ES256", "EdDSA"]"#),
        Key::new(
            "jwks_uri",
            Shape::Format(&formats::ADDRESS),
            "Where its keys are. Absent: found by OpenID Connect Discovery, else by RFC 8414.",
        ),
        Key::new("org", Shape::Format(&formats::ORG), "The organisation of everybody it speaks for."),
        Key::new(
            "org_claim",
            Shape::Format(&formats::CLAIM),
            "The claim that names the organisation, one of `orgs`; or a list, of which the first of `orgs` is home, and the others can be chosen with each request.",
        ),
        Key::new("orgs", Shape::FullList(&Shape::Format(&formats::ORG)), "With `org_claim`: all organisations that it may speak for."),
        Key::new(
            "subject_prefix",
            Shape::Format(&formats::SUBJECT_PREFIX),
            "Put before its subjects, so that they are not those of another issuer of the organisation. Absent: nothing.",
        ),
        Key::new("agent_type", Shape::Format(&formats::AGENT_TYPE), "Type of its agents, which names their manifest."),
        Key::new("claims", Shape::Section(&CLAIMS), "Which claims say what."),
        Key::new(
            "roles",
            Shape::Entries { names: &formats::CLAIM_VALUE, value: &ROLE, empty: false },
            "What values of `claims.role` mean. Absent: a value is the role of that name. A value that is not here grants nothing.",
        ),
        Key::new("scopes_required", Shape::List(&Shape::Format(&formats::SCOPE)), "Scopes that a token must have, all of them; else 403.")
            .or("[]"),
        Key::new("create_agents", Shape::Boolean, "Whether an agent that is not known is created at its first token; else it must exist.")
            .or("true"),
        Key::new("allow_untyped", Shape::Boolean, "Whether tokens without `typ` in their header are accepted, as some servers issue them.")
            .or("false"),
        Key::new("allow_private", Shape::List(&Shape::Format(&formats::CIDR)), "Ranges it may be dialled in although they are not public.")
            .or("[]"),
    ],
    needs: &[],
    choice: Choice::OneOf(&["org", "org_claim"]),
};

/// A signature algorithm of RFC 7518 or RFC 9864, asymmetric ones only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256, 2048 bits or more.
    Rs256,
    /// RSASSA-PSS with SHA-256, 2048 bits or more.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519 under its older name.
    EdDsa,
    /// Ed25519 under the name of RFC 9864.
    Ed25519,
}

impl TokenAlgorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa, Self::Ed25519];
    const DEFAULT: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The algorithm of this name; letter case counts.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(word, _)| *word == text).map(|(_, algorithm)| *algorithm)
    }
}

/// Who says which organisation a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrgSource {
    /// It is always this one; the list has one element.
    Constant([OrgId; 1]),
    /// A claim, which must name one of these.
    Claim {
        /// The claim.
        claim: ClaimPath,
        /// Every organisation that the issuer may speak for.
        allowed: Vec<OrgId>,
    },
}

impl OrgSource {
    /// Every organisation that may come out.
    #[must_use]
    pub fn all(&self) -> &[OrgId] {
        match self {
            Self::Constant(only) => only,
            Self::Claim { allowed, .. } => allowed,
        }
    }
}

/// Who says of which type an agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentTypeSource {
    /// It is always this one.
    Constant(AgentType),
    /// A claim, which must be there.
    Claim(ClaimPath),
}

/// One entry of `auth.issuers`.
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// What it is called here.
    pub name: String,
    /// `iss` of its tokens, exactly; an http or https address without query. Plain http leads to this machine only.
    pub issuer: String,
    /// `aud` of its tokens; `None` = the address of the endpoint.
    pub audience: Option<String>,
    /// Algorithms that it may use; never empty.
    pub algorithms: Vec<TokenAlgorithm>,
    /// Where its keys are; `None` = to be discovered.
    pub jwks_uri: Option<String>,
    /// The organisation.
    pub org: OrgSource,
    /// Put before its subjects.
    pub subject_prefix: String,
    /// The type of its agents.
    pub agent_type: AgentTypeSource,
    /// Which claims say what.
    pub claims: ClaimsConfig,
    /// What values of the role's claim mean; `None` = each is the role of that name.
    pub roles: Option<Vec<(String, Role)>>,
    /// Scopes that a token must have.
    pub scopes_required: Vec<String>,
    /// Whether agents are created at their first token.
    pub create_agents: bool,
    /// Whether tokens without `typ` are accepted.
    pub allow_untyped: bool,
    /// Ranges it may be dialled in although they are not public.
    pub allow_private: Vec<Cidr>,
    /// Where the entry stands.
    pub place: Place,
}

pub(super) fn issuer(field: &Field<'_>) -> Option<IssuerConfig> {
    let table = field.table()?;
    let name = table.read("name", |f| form(f, is_name, "lower-case letters, digits and `-`, at most 30"));
    let issuer = table.read("issuer", |f| identifier(f));
    let audience = table.read("audience", |f| form(f, |text| is_graphic(text, 512), "printable characters without spaces, at most 512"));
    let algorithms = table.read("algorithms", algorithms);
    let jwks_uri = table.read("jwks_uri", guarded);
    let org = org_source(&table);
    let prefix = table.read("subject_prefix", |f| {
        let text = f.text()?.to_owned();
        if is_graphic(&text, 32) || text.is_empty() { Some(text) } else { wrong(f, "printable characters without spaces, at most 32") }
    });
    let claims = table.read("claims", claims::claims).unwrap_or_default();
    let agent_type = agent_type(&table, &claims);
    let roles = table.read("roles", claims::roles);
    let scopes_required = table.read("scopes_required", |f| f.each(|f| form(f, is_scope, "a scope as RFC 6749 has it")));
    let create_agents = table.read("create_agents", Field::boolean);
    let allow_untyped = table.read("allow_untyped", Field::boolean);
    let cidr = |f: &Field<'_>| Cidr::parse(f.filled()?).map_err(|rule| f.error(rule)).ok();
    let allow_private = table.read("allow_private", |f| f.each(cidr)).unwrap_or_default();
    let algorithms = algorithms.unwrap_or_else(|| TokenAlgorithm::DEFAULT.to_vec());
    table.finish();
    Some(IssuerConfig {
        name: name?,
        issuer: issuer?,
        audience,
        algorithms,
        jwks_uri,
        org: org?,
        subject_prefix: prefix.unwrap_or_default(),
        agent_type: agent_type?,
        claims,
        roles,
        scopes_required: scopes_required.unwrap_or_default(),
        create_agents: create_agents.unwrap_or(true),
        allow_untyped: allow_untyped.unwrap_or(false),
        allow_private,
        place: field.place(),
    })
}

fn wrong<T>(field: &Field<'_>, rule: &str) -> Option<T> {
    field.error(format!("must be {rule}"));
    None
}

fn form(field: &Field<'_>, fits: impl Fn(&str) -> bool, rule: &str) -> Option<String> {
    let text = field.filled()?;
    if fits(text) { Some(text.to_owned()) } else { wrong(field, rule) }
}

fn is_name(text: &str) -> bool {
    let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 30 && text.bytes().next().is_some_and(lower) && text.bytes().all(|b| lower(b) || b == b'-')
}

fn is_graphic(text: &str, bytes_max: usize) -> bool {
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// RFC 6749, 3.3.
fn is_scope(text: &str) -> bool {
    is_graphic(text, 128) && !text.contains(['"', '\\'])
}

/// An issuer identifier has no query and no fragment (RFC 8414, 2).
fn identifier(field: &Field<'_>) -> Option<String> {
    let url = guarded(field)?;
    if url.contains('?') { wrong(field, "an address without query") } else { Some(url) }
}

/// An address whose answer decides who is let in: nobody on the way may change it.
fn guarded(field: &Field<'_>) -> Option<String> {
    let url = address(field)?;
    if is_plain_remote(&url) {
        field.error_hint("plain http to another machine: anyone on the way could let himself in", "use https");
        return None;
    }
    Some(url)
}

fn algorithms(field: &Field<'_>) -> Option<Vec<TokenAlgorithm>> {
    let listed = field.each(|f| f.word(&ALGORITHMS))?;
    if listed.is_empty() {
        return wrong(field, "a list with at least one algorithm");
    }
    Some(listed)
}

fn org_source(table: &Table<'_>) -> Option<OrgSource> {
    let (constant, claim) = (table.get("org"), table.get("org_claim"));
    let orgs = table.get("orgs");
    match (constant, claim) {
        (Some(_), Some(claim)) => {
            claim.error_hint("`org` and `org_claim` exclude each other", "keep one of them");
            None
        }
        (None, None) => {
            table.missing("org", Some("give `org` for one organisation, or `org_claim` and `orgs` for several"));
            None
        }
        (Some(constant), None) => {
            if let Some(orgs) = orgs {
                orgs.error_hint("has no effect together with `org`", "remove it, or write `org_claim` instead of `org`");
            }
            org(&constant).map(|org| OrgSource::Constant([org]))
        }
        (None, Some(claim)) => {
            let Some(orgs) = orgs else {
                table.missing("orgs", Some("list every organisation that the issuer may speak for"));
                return None;
            };
            let allowed = orgs.each(org)?;
            if allowed.is_empty() {
                return wrong(&orgs, "a list with at least one organisation");
            }
            Some(OrgSource::Claim { claim: claims::claim(&claim)?, allowed })
        }
    }
}

fn agent_type(table: &Table<'_>, claims: &ClaimsConfig) -> Option<AgentTypeSource> {
    match (table.get("agent_type"), &claims.agent_type) {
        (Some(constant), Some(_)) => {
            constant.error_hint("`agent_type` and `claims.agent_type` exclude each other", "keep one of them");
            None
        }
        (None, None) => {
            table.missing("agent_type", Some("the type names the manifest; or name a claim in `claims.agent_type`"));
            None
        }
        (Some(constant), None) => {
            let parsed = AgentType::parse(constant.filled()?.trim());
            parsed.map(AgentTypeSource::Constant).map_err(|fault| constant.error(fault.to_string())).ok()
        }
        (None, Some(claim)) => Some(AgentTypeSource::Claim(claim.clone())),
    }
}
