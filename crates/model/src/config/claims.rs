//! Which claims of a token say what (governance reference 1.1: nothing else decides who the caller is).

use crate::reader::Field;
use crate::role::Role;
use crate::shape::{Also, Choice, Key, Section, Shape, formats, words};

/// Longest claim name or way to one, in bytes.
const CLAIM_BYTES_MAX: usize = 128;
/// Objects inside each other on the way to a claim.
const CLAIM_DEPTH_MAX: usize = 5;
/// Longest value that is translated into a role, in bytes.
const ROLE_VALUE_BYTES_MAX: usize = 256;

const CLAIM: Shape = Shape::Format(&formats::CLAIM);

pub(super) static CLAIMS: Section = Section {
    path: "auth.issuers.claims",
    doc: "Which claims say what. A claim is named as it stands in the token, or as a JSON Pointer such as `/realm_access/roles`. \
          What a claim says counts only where it is named here.",
    keys: &[
        Key::new("groups", CLAIM, "Groups of the caller: a list of texts, or one text."),
        Key::new(
            "role",
            CLAIM,
            "Role of the caller: a text, or a list of which the highest counts. A value that is no role grants nothing.",
        ),
        Key::new("agent_id", CLAIM, "Id of the agent; the claim must then be there. Absent: made from issuer and subject."),
        Key::new("agent_type", CLAIM, "Type of the agent, instead of `agent_type` of the issuer; the claim must then be there."),
        Key::new("email", CLAIM, "Address of the person; shown, never decisive."),
    ],
    needs: &[],
    choice: Choice::Free,
};

const ROLES: [(&str, Role); 3] = [("member", Role::Member), ("group_admin", Role::GroupAdmin), ("org_admin", Role::OrgAdmin)];

/// What stands at each value of the `roles` mapping.
pub(super) const ROLE: Shape = Shape::Word(&words(&ROLES), Also::Nothing);

/// The way to a claim: the names of the members, outermost first; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Reads the name of a claim, or a JSON Pointer (RFC 6901).
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() || text.len() > CLAIM_BYTES_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("must be the name of a claim, at most 128 printable characters without spaces");
        }
        let Some(pointer) = text.strip_prefix('/') else { return Ok(Self(vec![text.to_owned()])) };
        let names: Option<Vec<String>> = pointer.split('/').map(unescaped).collect();
        match names {
            Some(names) if names.len() <= CLAIM_DEPTH_MAX && names.iter().all(|name| !name.is_empty()) => Ok(Self(names)),
            _ => Err("must be a JSON Pointer of at most five names, such as `/realm_access/roles`"),
        }
    }

    /// The names of the members, outermost first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// `~1` is `/` and `~0` is `~`; any other `~` is a mistake.
fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('~');
    let mut out = parts.next()?.to_owned();
    for part in parts {
        out.push(match part.bytes().next()? {
            b'0' => '~',
            b'1' => '/',
            _ => return None,
        });
        out.push_str(part.get(1..)?);
    }
    Some(out)
}

/// `claims` of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimsConfig {
    /// Groups of the caller.
    pub groups: Option<ClaimPath>,
    /// Role of the caller.
    pub role: Option<ClaimPath>,
    /// Id of the agent; `None` = made from issuer and subject.
    pub agent_id: Option<ClaimPath>,
    /// Type of the agent; `None` = the issuer's constant.
    pub agent_type: Option<ClaimPath>,
    /// Address of the person.
    pub email: Option<ClaimPath>,
}

pub(super) fn claims(field: &Field<'_>) -> Option<ClaimsConfig> {
    let table = field.table()?;
    let claims = ClaimsConfig {
        groups: table.read("groups", claim),
        role: table.read("role", claim),
        agent_id: table.read("agent_id", claim),
        agent_type: table.read("agent_type", claim),
        email: table.read("email", claim),
    };
    table.finish();
    Some(claims)
}

pub(super) fn claim(field: &Field<'_>) -> Option<ClaimPath> {
    ClaimPath::parse(field.filled()?).map_err(|rule| field.error(rule)).ok()
}

/// The mapping of a claim's values to roles.
pub(super) fn roles(field: &Field<'_>) -> Option<Vec<(String, Role)>> {
    let mut roles = Vec::new();
    for (entry, field) in field.entries()? {
        if entry.key.is_empty() || entry.key.len() > ROLE_VALUE_BYTES_MAX {
            field.error("the value of a claim has 1 to 256 bytes");
        }
        roles.extend(field.word(&ROLES).map(|role| (entry.key.clone(), role)));
    }
    Some(roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_a_name_or_a_pointer() {
        for (text, names) in [
            ("groups", vec!["groups"]),
            ("https://acme.example/roles", vec!["https://acme.example/roles"]),
            ("/realm_access/roles", vec!["realm_access", "roles"]),
            ("/https:~1~1acme/a~0b", vec!["https://acme", "a~b"]),
        ] {
            assert_eq!(ClaimPath::parse(text).unwrap().names(), names, "{text}");
        }
        for text in ["", " ", "a b", "/", "/a/", "//a", "/a~", "/a~2", "/a/b/c/d/e/f", "gruppe\u{e4}", &"x".repeat(129)] {
            assert!(ClaimPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_words_are_those_of_the_roles() {
        assert_eq!(ROLES.map(|(_, role)| role), Role::ALL);
        for (word, role) in ROLES {
            assert_eq!(word, role.as_str());
        }
    }
}
