//! Claims as organisation, subject, agent, role and groups, as the configuration of the issuer has it (governance reference 1.1).
//! What is named in the configuration and malformed in the token refuses the token; what is not named counts for nothing.

use aws_lc_rs::digest::{Context, SHA256};
use bailiwick_mcp::Json;
use bailiwick_model::config::{AgentTypeSource, ClaimPath, OrgSource};
use bailiwick_model::{AgentId, AgentType, Role, Subject, Timestamp};
use data_encoding::HEXLOWER;

use super::issuer::Issuer;
use super::rules::texts;
use super::verified::{Orgs, Reach, Verified};
use super::{Fingerprint, Reason};

/// Longest address of a person (RFC 5321, 4.5.3.1.3).
const EMAIL_BYTES_MAX: usize = 254;
/// Longest client id that is shown.
const CLIENT_BYTES_MAX: usize = 255;
/// Most organisations of one token.
const ORGS_MAX: usize = 200;
/// Most groups of one token, and the longest name of one.
const GROUPS_MAX: usize = 200;
const GROUP_BYTES_MAX: usize = 255;
/// Most values of a role's claim that are looked at.
const ROLES_MAX: usize = 200;
/// Bytes of a digest in an id that is made here.
const DERIVED_BYTES: usize = 16;

/// What is known already.
pub(super) struct Token {
    pub(super) expires_at: Timestamp,
    pub(super) reach: Reach,
    pub(super) fingerprint: Fingerprint,
}

pub(super) fn read(claims: &Json, issuer: &Issuer, token: Token) -> Result<Verified, Reason> {
    let config = &issuer.config;
    let orgs = orgs(claims, &config.org)?;
    let own = claims.text_of("sub").filter(|own| !own.is_empty()).ok_or(Reason::SubjectMalformed)?;
    // Visible ASCII: what looks like another's subject is another's.
    let subject = Subject::parse(&format!("{}{own}", config.subject_prefix)).map_err(|_| Reason::SubjectMalformed)?;
    let Token { expires_at, reach, fingerprint } = token;
    Ok(Verified {
        email: config.claims.email.as_ref().and_then(|path| email(claims, path)),
        orgs,
        groups: config.claims.groups.as_ref().map_or(Ok(Vec::new()), |path| groups(claims, path))?,
        role: config.claims.role.as_ref().map_or(Ok(None), |path| role(claims, path, config.roles.as_deref()))?,
        agent_id: agent_id(claims, issuer, &own)?,
        agent_type: agent_type(claims, &config.agent_type)?,
        create_agent: config.create_agents,
        client_id: client_id(claims),
        subject,
        expires_at,
        reach,
        fingerprint,
    })
}

/// The value at the end of a way; `None` when it is not there.
fn at(claims: &Json, path: &ClaimPath) -> Option<Json> {
    let mut names = path.names().iter();
    let first = claims.member(names.next()?)?;
    names.try_fold(first, |value, name| value.member(name))
}

fn text_at(claims: &Json, path: &ClaimPath) -> Option<String> {
    at(claims, path)?.string().map(std::borrow::Cow::into_owned)
}

/// The issuer's own organisation, or those among its organisations that the claim names: a text, or a list of which the first is home.
fn orgs(claims: &Json, source: &OrgSource) -> Result<Orgs, Reason> {
    let (claim, allowed) = match source {
        OrgSource::Constant([org]) => return Ok(Orgs { home: org.clone(), others: Vec::new() }),
        OrgSource::Claim { claim, allowed } => (claim, allowed),
    };
    let value = at(claims, claim).ok_or(Reason::OrgRefused)?;
    let find = |named: &str| allowed.iter().find(|org| org.as_str() == named).cloned();
    // The one organisation that a text names must be the issuer's to name. In a list those of other gateways may stand beside ours.
    if let Some(named) = value.string() {
        return Ok(Orgs { home: find(&named).ok_or(Reason::OrgRefused)?, others: Vec::new() });
    }
    let named = texts(&value, ORGS_MAX).ok_or(Reason::OrgRefused)?;
    let mut ours = named.iter().filter_map(|named| find(named));
    Ok(Orgs { home: ours.next().ok_or(Reason::OrgRefused)?, others: ours.collect() })
}

/// Printable ASCII without blanks at its ends.
fn is_plain(text: &str, bytes_max: usize) -> bool {
    let printable = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    (1..=bytes_max).contains(&text.len()) && printable && text.trim() == text
}

/// The id that the claim names, or one made from issuer and subject: the same for every token of the subject, and nobody else's.
fn agent_id(claims: &Json, issuer: &Issuer, subject: &str) -> Result<AgentId, Reason> {
    let config = &issuer.config;
    if let Some(path) = &config.claims.agent_id {
        let named = text_at(claims, path).ok_or(Reason::AgentMalformed)?;
        return AgentId::parse(&named).map_err(|_| Reason::AgentMalformed);
    }
    let mut digest = Context::new(&SHA256);
    for part in [config.issuer.as_str(), "\0", subject] {
        digest.update(part.as_bytes());
    }
    let digest = digest.finish();
    let digest = digest.as_ref().get(..DERIVED_BYTES).unwrap_or_default();
    AgentId::parse(&format!("{}-{}", config.name, HEXLOWER.encode(digest))).map_err(|_| Reason::AgentMalformed)
}

fn agent_type(claims: &Json, source: &AgentTypeSource) -> Result<AgentType, Reason> {
    match source {
        AgentTypeSource::Constant(agent_type) => Ok(agent_type.clone()),
        AgentTypeSource::Claim(path) => {
            let named = text_at(claims, path).ok_or(Reason::AgentMalformed)?;
            AgentType::parse(&named).map_err(|_| Reason::AgentMalformed)
        }
    }
}

/// A claim that is absent means no groups. One that is malformed refuses the token: a rule may also take something away from a group.
fn groups(claims: &Json, path: &ClaimPath) -> Result<Vec<String>, Reason> {
    let Some(value) = at(claims, path) else { return Ok(Vec::new()) };
    let groups = texts(&value, GROUPS_MAX).ok_or(Reason::GroupsMalformed)?;
    let fits = |group: &String| (1..=GROUP_BYTES_MAX).contains(&group.len()) && !group.chars().any(char::is_control);
    if groups.iter().all(fits) { Ok(groups) } else { Err(Reason::GroupsMalformed) }
}

/// The highest role among the values. A value that is no role grants nothing (governance reference 1.2).
fn role(claims: &Json, path: &ClaimPath, roles: Option<&[(String, Role)]>) -> Result<Option<Role>, Reason> {
    let Some(value) = at(claims, path) else { return Ok(None) };
    let values = texts(&value, ROLES_MAX).ok_or(Reason::RoleMalformed)?;
    let meaning = |value: &String| match roles {
        Some(roles) => roles.iter().find(|(known, _)| known == value).map(|(_, role)| *role),
        None => Role::parse(value).ok(),
    };
    Ok(values.iter().filter_map(meaning).max())
}

/// Left out when it is no address, or when the issuer says that it was not verified.
fn email(claims: &Json, path: &ClaimPath) -> Option<String> {
    if claims.member("email_verified").is_some_and(|verified| verified.boolean() != Some(true)) {
        return None;
    }
    text_at(claims, path).filter(|text| is_plain(text, EMAIL_BYTES_MAX) && text.contains('@'))
}

/// `client_id` (RFC 9068 section 2.2), or `azp` as OpenID Connect has it.
fn client_id(claims: &Json) -> Option<String> {
    let named = claims.text_of("client_id").or_else(|| claims.text_of("azp"))?;
    is_plain(&named, CLIENT_BYTES_MAX).then(|| named.into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bailiwick_mcp::Limits;
    use bailiwick_model::config::Config;
    use bailiwick_modules::egress::{Egress, NoNetwork};
    use serde_json::{Value, json};

    use super::*;
    use crate::tokens::resource::Resource;

    fn issuer(name: &str, more: &str) -> Issuer {
        let text = format!("auth: {{issuers: [{{name: {name}, issuer: 'https://{name}.example', org: acme, agent_type: a, {more}}}]}}");
        let (config, _) = Config::parse("b.yml", &text, &|_| None).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        Issuer::new(&config.issuers[0], &Resource::of(&config).unwrap(), &Egress::new(Arc::new(NoNetwork)))
    }

    fn says(issuer: &Issuer, claims: Value) -> Verified {
        let claims = Json::check(claims.to_string().into(), &Limits::REQUEST).unwrap();
        let token = Token { expires_at: Timestamp::from_micros(0), reach: Reach::Gateway, fingerprint: Fingerprint::of("") };
        read(&claims, issuer, token).unwrap()
    }

    #[test]
    fn a_text_that_is_no_role_grants_nothing() {
        let plain = issuer("c", "claims: {role: role}");
        let role = |issuer: &Issuer, value: Value| says(issuer, json!({"sub": "s", "role": value})).role;
        assert_eq!(role(&plain, json!("org_admin")), Some(Role::OrgAdmin));
        assert_eq!(role(&plain, json!(["member", "x", "group_admin"])), Some(Role::GroupAdmin), "the highest");
        for text in ["", "Org_admin", "org-admin", "org_admin ", "admin", "owner", "platform_admin", "member,org_admin", "*", "3"] {
            assert_eq!(role(&plain, json!(text)), None, "{text}");
            assert_eq!(role(&plain, json!([text])), None, "{text}");
        }
        // A mapping takes the place of the words.
        let mapped = issuer("c", "claims: {role: role}, roles: {boss: org_admin, staff: member}");
        assert_eq!(role(&mapped, json!("boss")), Some(Role::OrgAdmin));
        assert_eq!(role(&mapped, json!(["staff", "org_admin"])), Some(Role::Member));
        for text in ["org_admin", "Boss", "boss ", "", "bos"] {
            assert_eq!(role(&mapped, json!(text)), None, "{text}");
        }
        // What is not configured counts for nothing.
        assert_eq!(role(&issuer("c", ""), json!("org_admin")), None);
        assert_eq!(says(&issuer("c", ""), json!({"sub": "s", "groups": ["ops"], "email": "a@b.example"})).groups, Vec::<String>::new());
    }

    #[test]
    fn a_list_of_organisations_begins_at_home() {
        let text = "auth: {issuers: [{name: c, issuer: 'https://c.example', org_claim: org, orgs: [acme, beta], agent_type: a}]}";
        let (config, _) = Config::parse("b.yml", text, &|_| None).unwrap();
        let issuer = Issuer::new(&config.issuers[0], &Resource::of(&config).unwrap(), &Egress::new(Arc::new(NoNetwork)));
        let orgs = |value: Value| {
            let claims = Json::check(json!({"sub": "s", "org": value}).to_string().into(), &Limits::REQUEST).unwrap();
            let token = Token { expires_at: Timestamp::from_micros(0), reach: Reach::Gateway, fingerprint: Fingerprint::of("") };
            let orgs = read(&claims, &issuer, token).ok()?.orgs;
            Some(std::iter::once(&orgs.home).chain(&orgs.others).map(ToString::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(orgs(json!("beta")).as_deref(), Some("beta"));
        assert_eq!(orgs(json!(["beta", "elsewhere", "acme"])).as_deref(), Some("beta acme"));
        for refused in [
            json!("elsewhere"),
            json!([]),
            json!(["elsewhere"]),
            json!(["acme", 5]),
            json!({"acme": true}),
            json!("acme,beta"),
            json!(null),
        ] {
            assert_eq!(orgs(refused.clone()), None, "{refused}");
        }
    }

    #[test]
    fn a_subject_is_one_agent_and_no_other() {
        let (one, other) = (issuer("c", "subject_prefix: 'c:'"), issuer("d", "subject_prefix: 'd:'"));
        let id = |issuer: &Issuer, sub: &str| says(issuer, json!({"sub": sub})).agent_id.to_string();
        assert_eq!(id(&one, "s"), id(&one, "s"));
        assert!(id(&one, "s").starts_with("c-") && id(&one, "s").len() == 2 + 32);
        let all: std::collections::BTreeSet<String> = ["s", "S", "s1"].iter().flat_map(|sub| [id(&one, sub), id(&other, sub)]).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(says(&one, json!({"sub": "s"})).subject.as_str(), "c:s");
    }

    #[test]
    fn an_address_is_shown_only_when_it_was_verified() {
        let issuer = issuer("c", "claims: {email: mail}");
        let email = |claims: Value| says(&issuer, claims).email;
        assert_eq!(email(json!({"sub": "s", "mail": "a@b.example"})).as_deref(), Some("a@b.example"));
        assert_eq!(email(json!({"sub": "s", "mail": "a@b.example", "email_verified": true})).as_deref(), Some("a@b.example"));
        for claims in [
            json!({"sub": "s", "mail": "a@b.example", "email_verified": false}),
            json!({"sub": "s", "mail": "a@b.example", "email_verified": "true"}),
            json!({"sub": "s", "mail": "nobody"}),
            json!({"sub": "s", "mail": "a@b.example\n"}),
            json!({"sub": "s", "mail": ["a@b.example"]}),
            json!({"sub": "s", "email": "a@b.example"}),
        ] {
            assert_eq!(email(claims.clone()), None, "{claims}");
        }
    }
}
