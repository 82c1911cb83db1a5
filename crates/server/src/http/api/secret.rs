//! `/v1/orgs/{org}/secrets`: sealed values. They are set and never read back.

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Operations, secret};
use bailiwick_model::OrgId;
use bailiwick_store::SecretInfo;
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{ListQuery, Page};
use super::route::Route;
use super::schemas;
use super::text::SecretName;

const MANY: &str = "/v1/orgs/{org}/secrets";
const ONE: &str = "/v1/orgs/{org}/secrets/{name}";

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListSecrets>(), Route::of::<ShowSecret>(), Route::of::<PutSecret>(), Route::of::<RemoveSecret>()]
}

/// What may be known of a sealed value.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Secret {
    #[schema(value_type = schemas::SecretName)]
    pub(crate) name: String,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    /// Always true: there is a value, and this is all that is said of it.
    pub(crate) set: bool,
    /// How often it was set.
    pub(crate) version: i64,
    /// When it was first set.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// When it was last set.
    #[schema(value_type = schemas::Moment)]
    pub(crate) updated_at: String,
    /// Who set it last.
    pub(crate) updated_by: String,
}

impl Secret {
    fn of(org: &OrgId, row: SecretInfo) -> Self {
        let SecretInfo { name, version, created_at, updated_at, updated_by } = row;
        let (created_at, updated_at) = (created_at.to_string(), updated_at.to_string());
        Self { name, org: org.clone(), set: true, version, created_at, updated_at, updated_by }
    }
}

/// The secret that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::SecretName)]
    pub(crate) name: SecretName,
}

/// A value to be sealed.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSecret {
    /// The value; it is in no answer.
    #[schema(value_type = String, min_length = 1, max_length = 65_536, write_only)]
    pub(crate) value: Value,
}

/// A value on its way in. It leaves this type in the request of the command line to a gateway, and towards the seal.
#[derive(Debug)]
pub(crate) struct Value(pub(crate) SecretString);

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        writer.serialize_str(self.0.expose_secret())
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        match String::deserialize(reader)? {
            text if text.is_empty() => Err(serde::de::Error::custom("expected at least one character")),
            text => Ok(Self(SecretString::from(text))),
        }
    }
}

/// Lists secrets.
pub(crate) struct ListSecrets;

impl Operation for ListSecrets {
    const FACTS: Facts =
        Facts::new("list_secrets", "secrets", Verb::Get, MANY, Needs::OrgAdmin, "Lists secrets by name, never their values.");
    type Path = OrgPath;
    type Query = ListQuery;
    type Body = Nothing;
    type Answer = Page<Secret>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Secret>> {
        let org = &ask.path.org;
        let place = (Self::FACTS.id, org.as_str());
        let rows = secret::list(operations, acting, org, &ask.query.after(place.0, place.1)?).await?;
        Ok(ask.query.page(rows, place, |row| row.name.clone(), |row| Secret::of(org, row)))
    }
}

/// Shows when a secret was set.
pub(crate) struct ShowSecret;

impl Operation for ShowSecret {
    const FACTS: Facts =
        Facts::new("show_secret", "secrets", Verb::Get, ONE, Needs::OrgAdmin, "Shows when a secret was set, never its value.");
    type Path = SecretPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Secret;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "name": "API_TOKEN"}), body: json!({}) }
    }

    fn version(answer: &Secret) -> Option<i64> {
        Some(answer.version)
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Secret> {
        let SecretPath { org, name } = ask.path;
        secret::get(operations, acting, &org, name.as_str()).await.map(|row| Secret::of(&org, row))
    }
}

/// Sets a secret.
pub(crate) struct PutSecret;

impl Operation for PutSecret {
    const FACTS: Facts = Facts {
        versioned: true,
        ..Facts::new("put_secret", "secrets", Verb::Put, ONE, Needs::OrgAdmin, "Seals a value under a name; the value cannot be read back.")
    };
    type Path = SecretPath;
    type Query = Nothing;
    type Body = NewSecret;
    type Answer = Secret;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "name": "API_TOKEN"}), body: json!({"value": "a-value-of-no-use"}) }
    }

    fn version(answer: &Secret) -> Option<i64> {
        Some(answer.version)
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Secret> {
        let Ask { path: SecretPath { org, name }, body: NewSecret { value: Value(value) }, expected, .. } = ask;
        secret::set(operations, acting, (&org, name.as_str()), &value, expected).await.map(|row| Secret::of(&org, row))
    }
}

/// Removes a secret.
pub(crate) struct RemoveSecret;

impl Operation for RemoveSecret {
    const FACTS: Facts = Facts {
        versioned: true,
        ..Facts::new(
            "remove_secret",
            "secrets",
            Verb::Delete,
            ONE,
            Needs::OrgAdmin,
            "Removes a secret; what uses it fails until it is set again.",
        )
        .answering(StatusCode::NO_CONTENT)
    };
    type Path = SecretPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Nothing;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "name": "API_TOKEN"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Nothing> {
        let Ask { path: SecretPath { org, name }, expected, .. } = ask;
        secret::remove(operations, acting, &org, name.as_str(), expected).await.map(|()| Nothing {})
    }
}
