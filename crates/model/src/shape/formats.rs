//! Forms of texts. Each has a reader that decides; the pattern is what an editor can check of it.

use super::Format;

macro_rules! formats {
    ($($constant:ident = $name:literal, $pattern:literal, $example:literal;)*) => {
        $(pub(crate) static $constant: Format = Format { name: $name, pattern: $pattern, example: $example };)*

        #[cfg(test)]
        static ALL: &[&Format] = &[$(&$constant),*];
    };
}

formats! {
    ANY = "name", r"^[\s\S]*$", "name";
    AGENT_TYPE = "agent type", r"^\s*[a-z0-9][a-z0-9_-]{0,62}\s*$", "research";
    ORG = "organisation", "^[a-z0-9][a-z0-9-]{0,62}$", "default";
    MODULE_KEY = "module key", "^[A-Za-z](_?[A-Za-z0-9-]){0,31}$", "docs";
    SERVER_NAME = "server name", "^[A-Za-z](_?[A-Za-z0-9-]){0,31}$", "tickets";
    TOOL_GLOB = "glob", "^[!-~]{1,256}$", "docs_read_*";
    RATE = "rate", "^[0-9]{1,20}/(second|minute|hour)$", "60/minute";
    ADDRESS = "http address", r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s\\]+([/?][^#\s\\]*)?$", "https://mcp.example.com/mcp";
    HEADER = "header", "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$", "Authorization";
    VARIABLE = "environment variable", "^[A-Za-z_][A-Za-z0-9_]*$", "QUEUE_TOKEN";
    PATTERN = "regular expression of linear time, at most 4096 bytes", r"^[\s\S]{1,4096}$", "-----BEGIN [A-Z ]*PRIVATE KEY-----";
    TOPIC = "ntfy topic", "^[A-Za-z0-9_-]{1,64}$", "approvals";
    ROOM = "Matrix room", "^[!#][A-Za-z0-9._=/+-]+:[A-Za-z0-9.:-]+$", "!abc:example.org";
    VAULT_PATH = "path template", r"\S", "kv/agents/{agent_type}";
    MOUNT = "path of a mount", r"^[^/.\s][^/]*(/[^/.][^/]*)*$", "secret";
    TEMPLATE = "template of `{agent_id}` and `{agent_type}`", r"^([^{}]|\{\{|\}\}|\{agent_id\}|\{agent_type\})*$", "agents/{agent_id}";
    ARGUMENT_WAY = "argument", "^([^/~]|~[01])+(/([^/~]|~[01])+){0,7}$", "filter/owner";
    LISTEN = "address with port", r"^\s*(localhost|[0-9.]+|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}\s*$", "127.0.0.1:8700";
    PUBLIC_URL = "http address without query", r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s\\]+(/[^?#\s\\]*)?$", "https://gw.example.com";
    ENDPOINT_PATH = "path", r"^/[A-Za-z0-9/_.-]{0,127}$", "/mcp";
    HOST = "host, with port if need be", r"^([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$", "gw.example.com:8443";
    ORIGIN = "origin", r"^[Hh][Tt][Tt][Pp][Ss]?://([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$", "https://console.example.com";
    DATABASE = "database", r"^(sqlite:(//)?[\s\S]+|postgres(ql)?://\S+)$", "sqlite:/var/lib/bailiwick/bailiwick.db";
    BLOCKED_NAME = "name that must not be read, at most 200 characters", r"\S", "Example Client";
    ISSUER = "address of an issuer", r"^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s\\]+(/[^?#\s\\]*)?$", "https://id.example.com";
    ISSUER_NAME = "name", "^[a-z0-9][a-z0-9-]{0,29}$", "corporate";
    CLAIM = "claim, or `/` and a way to one", "^[!-~]{1,128}$", "groups";
    CLAIM_VALUE = "value of the claim", r"^[\s\S]{1,256}$", "gateway-admins";
    AUDIENCE = "audience", "^[!-~]{1,512}$", "https://gw.example.com/mcp";
    SCOPE = "scope", r"^[!#-\[\]-~]{1,128}$", "mcp:tools";
    SUBJECT_PREFIX = "prefix", "^[!-~]{0,32}$", "corporate:";
    CIDR = "range of addresses", "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$", "10.0.0.0/8";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_match_their_patterns() {
        for format in ALL {
            let pattern = regex::Regex::new(format.pattern).unwrap_or_else(|fault| panic!("{}: {fault}", format.name));
            assert!(pattern.is_match(format.example), "{}", format.name);
        }
    }
}
