//! `/v1/orgs/{org}/keys`: API keys. The text of a key is in one answer, the one that made it.

use std::time::Duration;

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Fault, Operations, agent, key};
use bailiwick_model::{AgentId, AgentType, Code, KeyId, OrgId, Subject, Timestamp};
use bailiwick_store::{CreatedKey as Made, KeyInfo, NewKey as Wanted};
use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::operation::{Ask, Example, Facts, Needs, Nothing, Operation, Verb};
use super::org::OrgPath;
use super::page::{ListQuery, Page};
use super::route::Route;
use super::schemas;
use super::text::Line;

const MANY: &str = "/v1/orgs/{org}/keys";
const ONE: &str = "/v1/orgs/{org}/keys/{key_id}";
const ROTATE: &str = "/v1/orgs/{org}/keys/{key_id}/rotate";
/// How long a rotated key works beside the new one when nothing is said.
pub(crate) const OVERLAP_DEFAULT: Duration = Duration::from_secs(3_600);

pub(super) fn routes() -> Vec<Route> {
    vec![Route::of::<ListKeys>(), Route::of::<CreateKey>(), Route::of::<ShowKey>(), Route::of::<RevokeKey>(), Route::of::<RotateKey>()]
}

/// An API key without its secret part.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Key {
    #[schema(value_type = schemas::KeyId)]
    pub(crate) id: String,
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::AgentId)]
    pub(crate) agent_id: AgentId,
    #[schema(value_type = schemas::AgentType)]
    pub(crate) agent_type: AgentType,
    /// The member it identifies as well.
    #[schema(value_type = Option<schemas::Subject>)]
    pub(crate) sub: Option<Subject>,
    pub(crate) state: KeyState,
    /// What it is for.
    pub(crate) note: String,
    /// When it was created.
    #[schema(value_type = schemas::Moment)]
    pub(crate) created_at: String,
    /// Who created it.
    pub(crate) created_by: String,
    /// When it stops working; null: never by itself.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) expires_at: Option<String>,
    /// When it was revoked.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) revoked_at: Option<String>,
    /// When it was last used, to within a minute.
    #[schema(value_type = Option<schemas::Moment>)]
    pub(crate) last_used_at: Option<String>,
}

/// What a key is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyState {
    /// It works.
    Live,
    /// Its time is over.
    Expired,
    /// Somebody revoked it.
    Revoked,
    /// Its agent is disabled.
    Disabled,
}

impl KeyState {
    /// The word.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
        }
    }
}

/// A fresh key with its text, which is never shown again.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct CreatedKey {
    #[serde(flatten)]
    pub(crate) key: Key,
    /// The whole key, for the agent's client.
    pub(crate) token: String,
}

impl Key {
    fn of(org: &OrgId, now: Timestamp, row: KeyInfo) -> Self {
        let state = match () {
            () if row.revoked_at.is_some() => KeyState::Revoked,
            () if row.expires_at.is_some_and(|end| end <= now) => KeyState::Expired,
            () if row.agent_disabled => KeyState::Disabled,
            () => KeyState::Live,
        };
        let moment = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: row.id.to_string(),
            org: org.clone(),
            agent_id: row.agent_id,
            agent_type: row.agent_type,
            sub: row.sub,
            state,
            note: row.label,
            created_at: row.created_at.to_string(),
            created_by: row.created_by,
            expires_at: moment(row.expires_at),
            revoked_at: moment(row.revoked_at),
            last_used_at: moment(row.last_used_at),
        }
    }
}

impl CreatedKey {
    fn of(org: &OrgId, now: Timestamp, (made, row): (Made, KeyInfo)) -> Self {
        Self { key: Key::of(org, now, row), token: made.token.expose_secret().to_owned() }
    }
}

/// The key that is meant.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyPath {
    #[schema(value_type = schemas::OrgId)]
    pub(crate) org: OrgId,
    #[schema(value_type = schemas::KeyId)]
    pub(crate) key_id: KeyText,
}

/// The id of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct KeyText(String);

impl TryFrom<String> for KeyText {
    type Error = bailiwick_model::id::InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        KeyId::parse(&text).map(|_| Self(text))
    }
}

impl From<KeyId> for KeyText {
    fn from(id: KeyId) -> Self {
        Self(id.to_string())
    }
}

impl KeyText {
    fn id(&self) -> Done<KeyId> {
        KeyId::parse(&self.0).map_err(|fault| Fault::invalid("key_id", fault.rule()))
    }
}

/// A key to be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    #[schema(value_type = schemas::AgentId)]
    pub(crate) agent_id: AgentId,
    /// The type that the agent must have; an agent that does not exist is created with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::AgentType>)]
    pub(crate) agent_type: Option<AgentType>,
    /// The member whom the key identifies as well: whoever presents it is that member, acting through the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schemas::Subject>)]
    pub(crate) sub: Option<Subject>,
    /// What it is for.
    #[serde(default)]
    #[schema(value_type = schemas::Line)]
    pub(crate) note: Line,
    /// When it stops working; null: never by itself.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<schemas::Moment>, required = true)]
    pub(crate) expires_at: Option<Moment>,
}

/// Must be there, and may be null.
fn nullable<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Moment>, D::Error> {
    Option::deserialize(reader)
}

/// How a key is to be replaced.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rotation {
    /// When the new key stops working; null: never by itself.
    #[serde(deserialize_with = "nullable")]
    #[schema(value_type = Option<schemas::Moment>, required = true)]
    pub(crate) expires_at: Option<Moment>,
    /// How long the old key works beside it.
    #[serde(default = "overlap")]
    #[schema(value_type = u32, minimum = 0, maximum = 2_592_000, required = false)]
    pub(crate) overlap_seconds: Overlap,
}

/// A number of seconds, at most 30 days.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "f64")]
pub(crate) struct Overlap(u32);

/// JSON knows one kind of numbers: 60.0 is the whole number 60.
impl TryFrom<f64> for Overlap {
    type Error = &'static str;

    fn try_from(seconds: f64) -> Result<Self, &'static str> {
        let whole = Duration::try_from_secs_f64(seconds).ok().filter(|span| span.subsec_nanos() == 0 && *span <= key::OVERLAP_MAX);
        let seconds = whole.and_then(|span| u32::try_from(span.as_secs()).ok());
        seconds.map(Self).ok_or("a whole number of seconds, at most 2592000")
    }
}

fn overlap() -> Overlap {
    Overlap(u32::try_from(OVERLAP_DEFAULT.as_secs()).unwrap_or(0))
}

/// A point in time as it crosses the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        writer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let text = String::deserialize(reader)?;
        let parsed =
            text.parse::<jiff::Timestamp>().map_err(|_| serde::de::Error::custom("expected a time such as `2026-07-28T09:30:00Z`"))?;
        Ok(Self(Timestamp::from_micros(parsed.as_microsecond())))
    }
}

/// Lists keys.
pub(crate) struct ListKeys;

impl Operation for ListKeys {
    const FACTS: Facts = Facts::new("list_keys", "keys", Verb::Get, MANY, Needs::OrgAdmin, "Lists keys by id, without their secret part.");
    type Path = OrgPath;
    type Query = ListQuery;
    type Body = Nothing;
    type Answer = Page<Key>;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Page<Key>> {
        let (org, now) = (&ask.path.org, operations.now());
        let place = (Self::FACTS.id, org.as_str());
        let rows = key::list(operations, acting, org, &ask.query.after(place.0, place.1)?).await?;
        Ok(ask.query.page(rows, place, |row| row.id.to_string(), |row| Key::of(org, now, row)))
    }
}

/// Makes a key.
pub(crate) struct CreateKey;

impl Operation for CreateKey {
    const FACTS: Facts = Facts {
        secret: true,
        ..Facts::new(
            "create_key",
            "keys",
            Verb::Post,
            MANY,
            Needs::OrgAdmin,
            "Makes a key for an agent, or for a member who acts through it; its text is shown this once.",
        )
        .answering(StatusCode::CREATED)
    };
    type Path = OrgPath;
    type Query = Nothing;
    type Body = NewKey;
    type Answer = CreatedKey;

    fn example() -> Example {
        Example { path: json!({"org": "acme"}), body: json!({"agent_id": "worker", "note": "nightly build", "expires_at": null}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<CreatedKey> {
        let Ask { path: OrgPath { org }, body: NewKey { agent_id, agent_type, sub, note, expires_at }, .. } = ask;
        if let Some(agent_type) = agent_type {
            ensure_agent(operations, acting, &org, (&agent_id, &agent_type)).await?;
        }
        let wanted = Wanted { agent_id, sub, label: note.as_str().to_owned(), expires_at: expires_at.map(|Moment(at)| at) };
        key::create(operations, acting, &org, wanted).await.map(|made| CreatedKey::of(&org, operations.now(), made))
    }
}

/// Creates the agent, or makes sure that it is of the type that the caller has in mind.
async fn ensure_agent(operations: &Operations, acting: &Acting, org: &OrgId, (id, of_type): (&AgentId, &AgentType)) -> Done<()> {
    match agent::get(operations, acting, org, id).await {
        Ok(agent) if agent.agent_type == *of_type => Ok(()),
        Ok(agent) => {
            let text = format!("agent `{id}` exists with type `{}`, not `{of_type}`", agent.agent_type);
            Err(Fault::new(Code::Conflict, text, "an agent keeps its type; choose another agent id"))
        }
        Err(fault) if fault.code == Code::NotFound => agent::create(operations, acting, org, id, of_type).await.map(drop),
        Err(fault) => Err(fault),
    }
}

/// Shows a key.
pub(crate) struct ShowKey;

impl Operation for ShowKey {
    const FACTS: Facts = Facts::new("show_key", "keys", Verb::Get, ONE, Needs::OrgAdmin, "Shows a key without its secret part.");
    type Path = KeyPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Key;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "key_id": "0123456789abcdef"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Key> {
        let KeyPath { org, key_id } = ask.path;
        key::get(operations, acting, &org, key_id.id()?).await.map(|row| Key::of(&org, operations.now(), row))
    }
}

/// Revokes a key.
pub(crate) struct RevokeKey;

impl Operation for RevokeKey {
    const FACTS: Facts = Facts::new(
        "revoke_key",
        "keys",
        Verb::Delete,
        ONE,
        Needs::OrgAdmin,
        "Revokes a key: it stops working within a second, everywhere.",
    )
    .answering(StatusCode::NO_CONTENT);
    type Path = KeyPath;
    type Query = Nothing;
    type Body = Nothing;
    type Answer = Nothing;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "key_id": "0123456789abcdef"}), body: json!({}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<Nothing> {
        key::revoke(operations, acting, &ask.path.org, ask.path.key_id.id()?).await.map(|()| Nothing {})
    }
}

/// Replaces a key.
pub(crate) struct RotateKey;

impl Operation for RotateKey {
    const FACTS: Facts = Facts {
        secret: true,
        ..Facts::new(
            "rotate_key",
            "keys",
            Verb::Post,
            ROTATE,
            Needs::OrgAdmin,
            "Makes another key for whomever this one identifies; the old one works for a while yet.",
        )
        .answering(StatusCode::CREATED)
    };
    type Path = KeyPath;
    type Query = Nothing;
    type Body = Rotation;
    type Answer = CreatedKey;

    fn example() -> Example {
        Example { path: json!({"org": "acme", "key_id": "0123456789abcdef"}), body: json!({"expires_at": null, "overlap_seconds": 3600}) }
    }

    async fn run(operations: &Operations, acting: &Acting, ask: Ask<Self>) -> Done<CreatedKey> {
        let Ask { path: KeyPath { org, key_id }, body: Rotation { expires_at, overlap_seconds: Overlap(seconds) }, .. } = ask;
        let overlap = Duration::from_secs(seconds.into());
        let made = key::rotate(operations, acting, (&org, key_id.id()?), expires_at.map(|Moment(at)| at), overlap).await?;
        Ok(CreatedKey::of(&org, operations.now(), made))
    }
}
