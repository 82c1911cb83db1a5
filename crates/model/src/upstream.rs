//! How an external MCP server is reached: shared by `servers` of the configuration and `mcp_proxy` of a manifest.

use crate::document::Entry;
use crate::mistake::printable;
use crate::reader::{Field, Table};
use crate::secret_text::SecretText;
use crate::shape::{Also, Key, Shape, formats, words};
use crate::substitute::is_variable;

/// Longest address in bytes.
pub const URL_BYTES_MAX: usize = 8_192;
/// Longest header name in bytes.
pub const HEADER_NAME_BYTES_MAX: usize = 128;

/// Headers that the protocol or the connection sets; an entry for one of them would be overwritten or break the exchange.
const OWN_HEADERS: [&str; 18] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "mcp-method",
    "mcp-name",
    "mcp-protocol-version",
    "mcp-session-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How a server is reached.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Streamable HTTP.
    Http {
        /// Absolute http or https address without user information and fragment, at most [`URL_BYTES_MAX`] bytes. Syntax is checked here;
        /// whether the address may be dialled is decided when it is.
        url: String,
        /// Extra request headers; names are valid, lower-case and not ours to set.
        headers: Vec<(String, SecretText)>,
    },
    /// A child process that speaks over its standard streams.
    Stdio {
        /// Program; an absolute path or a name looked up in `PATH`.
        command: String,
        /// Arguments.
        args: Vec<String>,
        /// Variables added to the child's small fixed environment.
        env: Vec<(String, SecretText)>,
    },
}

impl Transport {
    /// The secrets that headers or environment name as `${secret:NAME}`; a name may come more than once.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        let named = match self {
            Self::Http { headers, .. } => headers,
            Self::Stdio { env, .. } => env,
        };
        named.iter().flat_map(|(_, text)| text.names())
    }
}

/// Which protocol era to speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EraChoice {
    /// Find out.
    #[default]
    Auto,
    /// The revisions with `initialize`.
    Legacy,
    /// 2026-07-28 and later.
    Modern,
    /// This revision only.
    Revision(&'static str),
}

const ERAS: [(&str, EraChoice); 8] = [
    ("auto", EraChoice::Auto),
    ("legacy", EraChoice::Legacy),
    ("modern", EraChoice::Modern),
    ("2026-07-28", EraChoice::Revision("2026-07-28")),
    ("2025-11-25", EraChoice::Revision("2025-11-25")),
    ("2025-06-18", EraChoice::Revision("2025-06-18")),
    ("2025-03-26", EraChoice::Revision("2025-03-26")),
    ("2024-11-05", EraChoice::Revision("2024-11-05")),
];

pub(crate) const URL: Key = Key::new("url", Shape::Format(&formats::ADDRESS), "Address of a server over Streamable HTTP.");
pub(crate) const COMMAND: Key =
    Key::new("command", Shape::Filled, "Program of a server that speaks over its standard streams: an absolute path, or a name in `PATH`.");
pub(crate) const ARGS: Key = Key::new("args", Shape::List(&Shape::Scalar), "Arguments of `command`.").or("[]");
pub(crate) const ENV: Key = Key::new(
    "env",
    Shape::Entries { names: &formats::VARIABLE, value: &Shape::SecretText, empty: false },
    "Variables added to the small fixed environment of `command`; `${secret:NAME}` is filled in.",
);
pub(crate) const HEADERS: Key = Key::new(
    "headers",
    Shape::Entries { names: &formats::HEADER, value: &Shape::SecretText, empty: false },
    "Headers of every request to `url`; `${secret:NAME}` is filled in.",
);
pub(crate) const ERA: Key = Key::new(
    "era",
    Shape::Word(&words(&ERAS), Also::Nothing),
    "Which revisions of the protocol to speak: find out, those with `initialize`, the later ones, or one of them.",
)
.or("auto");

/// Why a text is not an address we would ever dial; `None` when it may be one. Full parsing happens where it is dialled.
#[must_use]
pub fn url_fault(url: &str) -> Option<&'static str> {
    if url.len() > URL_BYTES_MAX {
        return Some("an address has at most 8192 bytes");
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Some("an address has no spaces, control characters and backslashes");
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Some("an address begins with `https://` or `http://`") };
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return Some("an address begins with `https://` or `http://`");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Some("an address has no user name and password; put the credential into `headers`");
    }
    if host_of(authority).is_empty() {
        return Some("an address names a host");
    }
    if url.contains('#') {
        return Some("an address has no fragment");
    }
    None
}

/// Whether the address is plain http to another machine, as far as its text tells.
#[must_use]
pub fn is_plain_remote(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let host = host_of(rest.split(['/', '?', '#']).next().unwrap_or_default());
    let loopback = host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    scheme.eq_ignore_ascii_case("http") && !loopback
}

fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    authority.split(':').next().unwrap_or_default()
}

/// Reads `url` xor `command` with what belongs to each.
pub(crate) fn transport(table: &Table<'_>) -> Option<Transport> {
    let (url, command) = (table.get("url"), table.get("command"));
    let (args, env, headers) = (table.get("args"), table.get("env"), table.get("headers"));
    let ignored = |field: &Option<Field<'_>>, with: &str| {
        if let Some(field) = field {
            field.warning(format!("has no effect together with `{with}`"), "remove it");
        }
    };
    match (url, command) {
        (Some(url), Some(command)) => {
            command.error_hint(format!("`url` and `command` exclude each other (`url` is at {})", line(&url)), "keep one of them");
            None
        }
        (None, None) => {
            table.missing("url", Some("give `url` for a server over HTTP, or `command` for a child process"));
            None
        }
        (Some(field), None) => {
            ignored(&args, "url");
            ignored(&env, "url");
            let url = address(&field);
            let headers = headers.map_or(Some(Vec::new()), |field| pairs(&field, header_name, header_value));
            Some(Transport::Http { url: url?, headers: headers? })
        }
        (None, Some(field)) => {
            ignored(&headers, "command");
            let command = field.filled().map(str::to_owned);
            let args = args.map_or(Some(Vec::new()), |field| field.each(Field::scalar));
            let env = env.map_or(Some(Vec::new()), |field| pairs(&field, variable_name, |_, _| true));
            Some(Transport::Stdio { command: command?, args: args?, env: env? })
        }
    }
}

/// Reads `era`.
pub(crate) fn era(table: &Table<'_>) -> EraChoice {
    table.read("era", |field| field.word(&ERAS)).unwrap_or_default()
}

/// Reads an address.
pub(crate) fn address(field: &Field<'_>) -> Option<String> {
    let url = field.filled()?;
    if let Some(rule) = url_fault(url) {
        field.error(rule);
        return None;
    }
    Some(url.to_owned())
}

fn line(field: &Field<'_>) -> String {
    format!("line {}", field.place().line)
}

type Pairs = Vec<(String, SecretText)>;

fn pairs(
    field: &Field<'_>,
    name: impl Fn(&Entry, &Field<'_>) -> Option<String>,
    value: impl Fn(&Field<'_>, &SecretText) -> bool,
) -> Option<Pairs> {
    let mut pairs: Pairs = Vec::new();
    for (entry, field) in field.entries()? {
        let (Some(name), Some(text)) = (name(entry, &field), field.secret_text()) else { continue };
        if pairs.iter().any(|(present, _)| *present == name) {
            field.error("is given twice; letter case does not count");
        } else if value(&field, &text) {
            pairs.push((name, text));
        }
    }
    Some(pairs)
}

fn header_name(entry: &Entry, field: &Field<'_>) -> Option<String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let name = entry.key.to_ascii_lowercase();
    if name.is_empty() || name.len() > HEADER_NAME_BYTES_MAX || !name.bytes().all(token) {
        field.report().error(entry.key_place, &field.path, "not a valid header name");
        return None;
    }
    if OWN_HEADERS.contains(&name.as_str()) {
        field.report().error(entry.key_place, &field.path, format!("header `{}` is set by the gateway", printable(&name)));
        return None;
    }
    Some(name)
}

fn header_value(field: &Field<'_>, text: &SecretText) -> bool {
    let good = text.plain_parts().all(|part| part.chars().all(|c| c == '\t' || !c.is_control()));
    if !good {
        field.error("a header value has no line breaks and control characters");
    }
    good
}

fn variable_name(entry: &Entry, field: &Field<'_>) -> Option<String> {
    if is_variable(&entry.key) {
        return Some(entry.key.clone());
    }
    field.report().error(entry.key_place, &field.path, "not a valid name of an environment variable");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for url in ["https://mcp.example.com/mcp", "http://127.0.0.1:8485/mcp", "HTTPS://[::1]:1/", "https://h?x=1@2"] {
            assert_eq!(url_fault(url), None, "{url}");
        }
        let long = format!("https://h/{}", "a".repeat(URL_BYTES_MAX));
        for url in [
            "",
            "ftp://h",
            "file:///etc",
            "h.example/mcp",
            "https://",
            "https:///x",
            "https://:1",
            "https://u:p@h/",
            "https://h/#f",
            "https://h /",
            "https://h\\x",
            &long,
        ] {
            assert!(url_fault(url).is_some(), "{url}");
        }
        assert!(is_plain_remote("http://10.0.0.5/mcp") && is_plain_remote("http://localhost.example/") && is_plain_remote("HTTP://h"));
        assert!(!is_plain_remote("http://localhost:1/") && !is_plain_remote("http://[::1]/") && !is_plain_remote("https://10.0.0.5/"));
    }
}
