//! `matrix`: messages in listed rooms of a homeserver (reference, tool modules section 8.5). Rooms without encryption only.
//!
//! A room may be listed by an alias. Opening has no network, so an alias is resolved at its first use; the room it led to is kept until the
//! module is closed, so that whoever may change the alias cannot lead the agent elsewhere meanwhile.

mod patience;

use std::sync::Arc;

use http::{HeaderValue, Method, header};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::arguments::decode;
use crate::config::{ConfigKey, ConfigKind, ConfigReader};
use crate::context::CallContext;
use crate::egress::{HttpClient, HttpRequest, segment};
use crate::fault::{OpenFault, ToolFault};
use crate::module::{CredentialKey, ModuleDraft, ModuleKind, ModuleSetup, Pending, ToolModule};
use crate::notifier::{self, Notifier, SendModule};
use crate::schema::property;
use crate::service::{self, ALLOW_PRIVATE, CA_FILE, NOTIFIER_LIMITS};
use crate::spec::{Access, ToolSpec};
use crate::withheld::Withheld;
use bailiwick_model::Code;

/// Most rooms under `allowed_rooms`.
const ROOMS_MAX: usize = 1_000;
/// Longest room id or alias (Matrix specification, appendices, common identifier format).
const ROOM_BYTES_MAX: usize = 255;
/// Largest message: an event of a homeserver is at most 64 KiB, and a character may need two bytes once it is escaped.
const MESSAGE_BYTES_MAX: usize = 32 << 10;
const HOMESERVER: &str = "MATRIX_HOMESERVER";
const TOKEN: &str = "MATRIX_ACCESS_TOKEN";
const ROOMS: &str = "allowed_rooms";

const KEYS: &[ConfigKey] = &[
    ConfigKey {
        name: ROOMS,
        required: true,
        doc: "Rooms that may be written to: ids (!id:server) or aliases (#alias:server), named by agents exactly so.",
        kind: ConfigKind::TextList,
    },
    ALLOW_PRIVATE,
    CA_FILE,
];

/// The module kind `matrix`.
#[derive(Clone, Copy, Debug)]
pub struct Kind;

impl ModuleKind for Kind {
    fn name(&self) -> &'static str {
        "matrix"
    }

    fn config_keys(&self) -> &'static [ConfigKey] {
        KEYS
    }

    fn credentials(&self, _: &Map<String, Value>) -> Vec<CredentialKey> {
        vec![CredentialKey::required(HOMESERVER), CredentialKey::required(TOKEN)]
    }

    fn check(&self, draft: ModuleDraft<'_>) -> Vec<OpenFault> {
        let config = ConfigReader::from(draft);
        each_room(&config).into_iter().filter_map(Result::err).chain(service::range_faults(&config)).collect()
    }

    fn tools(&self) -> Vec<(&'static str, Access)> {
        notifier::TOOLS.to_vec()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        vec![Matrix::spec()]
    }

    fn open(&self, setup: ModuleSetup<'_>) -> Result<Arc<dyn ToolModule>, OpenFault> {
        let config = ConfigReader::new(setup, KEYS)?;
        let rooms = each_room(&config).into_iter().collect::<Result<_, _>>()?;
        let homeserver = service::credential(&setup, HOMESERVER)?.expose_secret();
        let client = service::client(HOMESERVER, homeserver, &config, setup.host, NOTIFIER_LIMITS)?;
        let token = service::credential(&setup, TOKEN)?;
        let withheld = Withheld::new([token.expose_secret(), homeserver]);
        let token = service::authorization("Bearer", TOKEN, token)?;
        Ok(Arc::new(SendModule { notifier: Matrix { client, token, withheld, rooms }, mode: setup.access }))
    }
}

/// A room as the operator listed it.
struct Room {
    name: String,
    /// What an alias led to.
    resolved: OnceCell<String>,
}

fn each_room(config: &ConfigReader<'_>) -> Vec<Result<Room, OpenFault>> {
    let fault = |what: &str| vec![Err(OpenFault::about(ROOMS, what, format!("list 1 to {ROOMS_MAX} rooms like `!id:server`")))];
    match config.texts(ROOMS) {
        Err(fault) => vec![Err(fault)],
        Ok(names) if names.is_empty() => fault("is missing or empty"),
        Ok(names) if names.len() > ROOMS_MAX => fault("has too many rooms"),
        Ok(names) => names.into_iter().enumerate().map(room).collect(),
    }
}

fn room((index, name): (usize, &str)) -> Result<Room, OpenFault> {
    if is_id(name) || is_alias(name) {
        return Ok(Room { name: name.to_owned(), resolved: OnceCell::new() });
    }
    Err(OpenFault::about(format!("{ROOMS}.{index}"), "is neither a room id nor an alias", "write `!id:server` or `#alias:server`"))
}

/// Rooms of version 12 and later have no server in their id.
fn is_id(name: &str) -> bool {
    is_short_word(name) && name.len() > 1 && name.starts_with('!') && !name.starts_with("!:")
}

fn is_alias(name: &str) -> bool {
    let parts = name.strip_prefix('#').and_then(|rest| rest.split_once(':'));
    is_short_word(name) && parts.is_some_and(|(alias, server)| !alias.is_empty() && !server.is_empty())
}

fn is_short_word(name: &str) -> bool {
    name.len() <= ROOM_BYTES_MAX && !name.chars().any(|c| c.is_whitespace() || c.is_control())
}

struct Matrix {
    client: HttpClient,
    token: HeaderValue,
    withheld: Withheld,
    rooms: Vec<Room>,
}

struct Message {
    /// The place in `rooms`.
    room: usize,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    room: String,
    message: String,
}

impl Notifier for Matrix {
    type Message = Message;

    fn spec() -> ToolSpec {
        notifier::spec(
            "Send to a Matrix room",
            "Sends a plain text message to one of the Matrix rooms you were given; the room is named exactly as it was given to you. Rooms \
             with encryption, other rooms and messages of more than 32 KiB are refused.",
            &[
                ("room", property("string", "Room id (!id:server) or alias (#alias:server).", json!({}))),
                ("message", property("string", "The text, at most 32 KiB of UTF-8.", json!({}))),
            ],
            &["room", "message"],
        )
    }

    fn prepare(&self, arguments: &str) -> Result<Message, ToolFault> {
        let Arguments { room, message } = decode(arguments)?;
        let outside = || ToolFault::new(Code::ScopeViolation, "the room is not one of yours", "name one of your rooms exactly");
        let room = self.rooms.iter().position(|known| known.name == room).ok_or_else(outside)?;
        if message.len() > MESSAGE_BYTES_MAX {
            let about = format!("the message is longer than {MESSAGE_BYTES_MAX} bytes");
            return Err(ToolFault::limit("message_bytes", MESSAGE_BYTES_MAX as u64, about, "shorten it or send it in parts"));
        }
        Ok(Message { room, text: message })
    }

    fn deliver<'a>(&'a self, message: Message, context: CallContext<'a>) -> Pending<'a, Result<(), ToolFault>> {
        Box::pin(async move {
            let Some(room) = self.rooms.get(message.room) else { return Err(ToolFault::internal("the room vanished")) };
            let id = self.id(room, context).await?;
            // A homeserver takes one event for one transaction, however often the request comes.
            let rest = format!("/_matrix/client/v3/rooms/{}/send/m.room.message/{}", segment(id), segment(context.call));
            let body = json!({ "msgtype": "m.text", "body": message.text }).to_string();
            let request = self.request(Method::PUT, &rest).with_body("application/json", body);
            patience::send(&self.client, &self.withheld, request, context).await.map(drop)
        })
    }
}

impl Matrix {
    fn request(&self, method: Method, rest: &str) -> HttpRequest {
        HttpRequest::new(method, self.client.base().at(rest)).with(header::AUTHORIZATION, self.token.clone())
    }

    /// The id of a listed room; an alias is looked up once.
    async fn id<'a>(&self, room: &'a Room, context: CallContext<'_>) -> Result<&'a str, ToolFault> {
        if room.name.starts_with('!') {
            return Ok(&room.name);
        }
        room.resolved.get_or_try_init(|| self.look_up(&room.name, context)).await.map(String::as_str)
    }

    async fn look_up(&self, alias: &str, context: CallContext<'_>) -> Result<String, ToolFault> {
        let request = self.request(Method::GET, &format!("/_matrix/client/v3/directory/room/{}", segment(alias)));
        let answer = service::success(self.withheld.clean_refusal(self.client.send(request, context).await?))?;
        let body = service::json_body(&answer)?;
        body["room_id"].as_str().filter(|id| is_id(id)).map(str::to_owned).ok_or_else(|| {
            let remedy = "ask the operator to look at the homeserver";
            ToolFault::new(Code::UpstreamProtocol, "the homeserver did not say which room the alias leads to", remedy)
        })
    }
}
