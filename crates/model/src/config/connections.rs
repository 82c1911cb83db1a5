//! Servers that administrators register while the gateway runs, and the OAuth client towards them (reference, governance 5 and 6).

use crate::address::Cidr;
use crate::reader::Field;
use crate::shape::{Choice, Key, Section, Shape, formats};

/// What authorization servers show people as our name, unless something else is written.
const CLIENT_NAME_DEFAULT: &str = "Bailiwick";

pub(super) static CONNECTIONS: Section = Section {
    path: "connections",
    doc: "Servers that administrators register (`bailiwick server add`), and how people connect with them. With this section a manifest may grant servers that are registered later.",
    keys: &[
        Key::new("client_name", Shape::Filled, "Our name on the pages of authorization servers, at most 64 characters.").or("Bailiwick"),
        Key::new(
            "client_metadata_url",
            Shape::Filled,
            "Where our client id metadata document stands. Absent: at `public_url`, below it `/oauth/client-metadata.json`, if that is https.",
        ),
        Key::new(
            "allow_hosts",
            Shape::List(&Shape::Format(&formats::HOST)),
            "The only hosts that registered servers and their authorization servers may be on, each with all of its ports. Absent: any.",
        ),
        Key::new(
            "profiles",
            Shape::Entries { names: &formats::HOST, value: &Shape::Filled, empty: true },
            "Further hosts of providers whose habits are known, such as an instance of one's own: the host, and the word of the provider (`github`).",
        ),
        Key::new(
            "allow_private",
            Shape::List(&Shape::Format(&formats::CIDR)),
            "Ranges that registered servers and their authorization servers may be dialled in although they are not public.",
        )
        .or("[]"),
        Key::new(
            "allow_loopback_http",
            Shape::Boolean,
            "Whether registered servers and their authorization servers may be on this machine, over plain http. For development.",
        )
        .or("false"),
    ],
    needs: &[],
    choice: Choice::Free,
};

/// `connections`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionsConfig {
    /// Our name on the pages of authorization servers.
    pub client_name: String,
    /// Where our client id metadata document stands; `None`: with us.
    pub client_metadata_url: Option<String>,
    /// The only hosts that may be dialled, in lower case; `None`: any.
    pub allow_hosts: Option<Vec<String>>,
    /// Further hosts of known providers: the host in lower case, and the word of the provider.
    pub profiles: Vec<(String, String)>,
    /// Ranges that may be dialled although they are not public.
    pub allow_private: Vec<Cidr>,
    /// Whether plain http to this machine is accepted.
    pub allow_loopback_http: bool,
}

impl Default for ConnectionsConfig {
    fn default() -> Self {
        Self {
            client_name: CLIENT_NAME_DEFAULT.to_owned(),
            client_metadata_url: None,
            allow_hosts: None,
            profiles: Vec::new(),
            allow_private: Vec::new(),
            allow_loopback_http: false,
        }
    }
}

pub(super) fn connections(field: &Field<'_>) -> Option<ConnectionsConfig> {
    let table = field.table()?;
    let filled = |f: &Field<'_>| f.filled().map(str::to_owned);
    let cidr = |f: &Field<'_>| Cidr::parse(f.filled()?).map_err(|rule| f.error(rule)).ok();
    let default = ConnectionsConfig::default();
    let config = ConnectionsConfig {
        client_name: table.read("client_name", client_name).unwrap_or(default.client_name),
        client_metadata_url: table.read("client_metadata_url", filled),
        allow_hosts: table.read("allow_hosts", |f| f.each(|f| f.filled().map(str::to_ascii_lowercase))),
        profiles: table.read("profiles", profiles).unwrap_or_default(),
        allow_private: table.read("allow_private", |f| f.each(cidr)).unwrap_or_default(),
        allow_loopback_http: table.read("allow_loopback_http", Field::boolean).unwrap_or_default(),
    };
    table.finish();
    Some(config)
}

fn profiles(field: &Field<'_>) -> Option<Vec<(String, String)>> {
    let mut profiles = Vec::new();
    for (entry, value) in field.entries()? {
        profiles.push((entry.key.to_ascii_lowercase(), value.filled()?.to_owned()));
    }
    Some(profiles)
}

fn client_name(field: &Field<'_>) -> Option<String> {
    let name = field.filled()?;
    if name.chars().count() > 64 || name.chars().any(char::is_control) {
        field.error("must be at most 64 printable characters");
        return None;
    }
    Some(name.to_owned())
}
