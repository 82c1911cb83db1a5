//! Schemas of texts with rules of their own. The types live where they are parsed; these stand for them in the document.

use std::borrow::Cow;

use bailiwick_store::FINISH_REASON_CHARS_MAX;

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::text::{EMAIL_CHARS_MAX, HIDDEN, LINE_CHARS_MAX, SECRET_NAME_CHARS_MAX, SPACES, beyond, class};

/// A text that a pattern describes.
macro_rules! texts {
    ($($name:ident = $pattern:expr, $description:expr;)*) => { $(
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let pattern: Cow<'static, str> = $pattern.into();
                ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).description(Some($description)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )* };
}

texts! {
    OrgId = "^[a-z0-9][a-z0-9-]{0,62}$", "The name of an organisation.";
    AgentId = "^[a-z0-9][a-z0-9-]{0,62}$", "The id of an agent.";
    AgentType = "^[a-z0-9][a-z0-9_-]{0,62}$", "The type of an agent, which names its manifest.";
    GroupId = "^[a-z0-9][a-z0-9-]{0,62}$", "The id of a group.";
    Subject = "^[!-~]{1,255}$", "A person as the identity provider names him: visible ASCII characters, compared byte by byte.";
    KeyId = "^[0-9a-f]{16}$", "The public half of an API key.";
    EventId = "^[0-9a-f]{32}$", "One event on the ledger.";
    DocName = "^[a-z0-9][a-z0-9_-]{0,63}$", "The kind of an instruction, or its name within the kind.";
    RunId = "^[A-Za-z0-9_-]{1,64}$", "The id of a run.";
    FeedbackId = "^[0-9a-f]{32}$", "The id of a feedback.";
    ServerId = "^[0-9a-f]{32}$", "The id of a registered server.";
    ServerName = "^[A-Za-z](?!.*__)[A-Za-z0-9_-]{0,31}(?<!_)$",
        "What agents and people call a server: a letter, then letters, digits, `_` and `-`, at most 32, never `__`, not ending in `_`.";
    Note = "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]{0,4000}$",
        "At most 4,000 characters; newlines and tabs are the only control characters.";
    SecretName = format!("^[A-Za-z0-9][A-Za-z0-9_.-]{{0,{}}}$", SECRET_NAME_CHARS_MAX - 1), "The name of a secret.";
    Line = format!("^[^{}]{{0,{LINE_CHARS_MAX}}}$", class(HIDDEN)),
        format!("One line of text without hidden characters; those from {} are refused too.", beyond(HIDDEN));
}

pub(crate) struct Email;

impl PartialSchema for Email {
    fn schema() -> RefOr<Schema> {
        let plain = format!("[^@{}{}]+", class(HIDDEN), class(SPACES));
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{plain}@{plain}$")));
        schema
            .max_length(Some(EMAIL_CHARS_MAX))
            .description(Some(format!(
                "An email address; never used for a decision. Hidden characters from {} are refused too.",
                beyond(HIDDEN)
            )))
            .into()
    }
}

pub(crate) struct Reason;

impl PartialSchema for Reason {
    fn schema() -> RefOr<Schema> {
        let (seen, line) = (format!("[^{}{}]", class(HIDDEN), class(SPACES)), format!("[^{}]*", class(HIDDEN)));
        let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(format!("^{line}{seen}{line}$")));
        schema
            .max_length(Some(FINISH_REASON_CHARS_MAX))
            .description(Some(format!("Why, on one line. Hidden characters from {} are refused too.", beyond(HIDDEN))))
            .into()
    }
}

impl ToSchema for Reason {
    fn name() -> Cow<'static, str> {
        "Reason".into()
    }
}

impl ToSchema for Email {
    fn name() -> Cow<'static, str> {
        "Email".into()
    }
}

/// A point in time.
pub(crate) struct Moment;

impl PartialSchema for Moment {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        schema.description(Some("A point in time (RFC 3339).")).into()
    }
}

impl ToSchema for Moment {
    fn name() -> Cow<'static, str> {
        "Moment".into()
    }
}

/// A text that is one of a few words.
macro_rules! words {
    ($($name:ident = [$($word:literal),*], $description:literal;)*) => { $(
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some([$($word),*])).description(Some($description)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }
    )* };
}

words! {
    ServerStatus = ["active", "pending_setup", "error"], "Whether a server can be called.";
    RegistrationMode = ["dcr", "manual", "cimd", "none"], "How we became known to the issuer; `none`: the server wants no authorization.";
    RegistrationChoice = ["auto", "dcr", "manual", "cimd"], "How we should become known to the issuer; `dcr` finds out, as `auto`.";
    NewToolsPolicy = ["review", "allow", "block"], "What becomes of tools that appear later.";
    CredentialFallback = ["on", "service_only", "off"], "For whom the organisation's credential stands in.";
    AuthMethod = ["none", "client_secret_basic", "client_secret_post"], "How we prove at the token endpoint who we are.";
    ServerEra = ["auto", "legacy", "modern"], "Which revisions of the protocol a server is spoken to in.";
    TokenStatus = ["valid", "expired", "refresh_failed"], "What is known of the tokens of a connection.";
    Role = ["member", "group_admin", "org_admin"], "What somebody may do in an organisation.";
    EventKind = ["call", "auth", "config", "key", "secret", "discovery", "policy", "audit", "system"], "What an event tells of.";
    Outcome = ["done", "abandoned", "failed", "blocked"], "How a run ended.";
    Signal = ["tool_feedback", "gap"], "What a feedback is about.";
    GroupRole = ["member", "group_admin"], "What somebody may do in a group.";
}

/// Who answers for an agent: a member or a group.
pub(crate) struct Owner;

impl PartialSchema for Owner {
    fn schema() -> RefOr<Schema> {
        let one = |member: &str, kind: &str| {
            let schema = ObjectBuilder::new().schema_type(Type::Object).property(member, Ref::from_schema_name(kind)).required(member);
            schema.additional_properties(Some(utoipa::openapi::schema::AdditionalProperties::FreeForm(false))).build()
        };
        let schema = OneOfBuilder::new().item(one("sub", "Subject")).item(one("group", "GroupId"));
        schema.description(Some("Who answers for an agent: a member or a group.")).into()
    }
}

impl ToSchema for Owner {
    fn name() -> Cow<'static, str> {
        "Owner".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Subject::name().into(), Subject::schema()));
        schemas.push((GroupId::name().into(), GroupId::schema()));
    }
}
