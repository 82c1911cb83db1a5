//! Names of servers and tools as agents see them (ecosystem reference section 2).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{InvalidId, text_id};

/// Between a server's name and its tool's name; a served name is split at its first occurrence.
pub const SEPARATOR: &str = "__";

fn server_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        && !text.contains(SEPARATOR)
        && text.as_bytes()[0].is_ascii_alphabetic()
        && !text.ends_with('_')
}

text_id!(
    /// An external server: a letter, then letters, digits, `_`, `-`, at most 32, never `__`, not ending in `_`; the prefix of its tools.
    ServerName, "server name", server_name, "a letter, then letters, digits, `_` and `-`, at most 32 characters, without `__` and not ending in `_`"
);

fn tool_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.as_bytes()[0].is_ascii_alphabetic()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

text_id!(
    /// A tool as an agent sees it: `[A-Za-z][A-Za-z0-9_-]*`, at most 64 characters.
    ToolName, "tool name", tool_name, "a letter, then letters, digits, `_` and `-`, at most 64 characters"
);

/// Longest served name unless configured otherwise: hosts put up to 16 characters of their own in front and allow 64.
pub const NAME_CHARS_DEFAULT: usize = 48;
/// Longest served name anyone may configure.
pub const NAME_CHARS_MAX: usize = 64;
/// Smallest cap: a server name of 32, the separator, one character of the tool, `_` and six of the digest.
pub const NAME_CHARS_MIN: usize = 42;

/// Characters of the digest behind a shortened or ambiguous name, by how often it had to be told apart. The longer ones are only reached by
/// a server that searches for digests which collide with each other; the last one cannot be reached by searching.
const DIGEST_CHARS: [usize; 3] = [6, 13, 26];

/// The name under which `tool` of `server` is served: `{server}__{tool}`, at most `max` characters.
///
/// Characters outside `[A-Za-z0-9_-]` become `_`. A longer name is cut and ends in `_` and six base32 characters of SHA-256 over server, a zero
/// byte and the original name: the same name every time, on every replica (reference, ecosystem section 2). `max` is brought into
/// [`NAME_CHARS_MIN`]`..=`[`NAME_CHARS_MAX`]. Two tools of one server may get equal names here; [`served_names`] tells them apart.
#[must_use]
pub fn served_name(server: &ServerName, tool: &str, max: usize) -> ToolName {
    let head = format!("{server}{SEPARATOR}");
    shorten(&head, &replaced(tool, true), max, || digest(server.as_str(), tool), tool.is_empty().then_some(DIGEST_CHARS[0]))
}

/// The served names of all `tools` of one server, in their order: never two equal ones, even when letter case is ignored and `-` is `_`.
///
/// In a group of equal names the one that needed no change keeps its name if it is the only such one; the others get the suffix of
/// [`served_name`]. The result depends on the set of tools only, not on their order. A name that is listed twice counts once.
#[must_use]
pub fn served_names(server: &ServerName, tools: &[&str], max: usize) -> Vec<ToolName> {
    let head = format!("{server}{SEPARATOR}");
    let mut names: Vec<ToolName> = tools.iter().map(|tool| served_name(server, tool, max)).collect();
    for chars in DIGEST_CHARS {
        let mut groups: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            groups.entry(folded(name.as_str())).or_default().insert(index);
        }
        let mut unique = true;
        for group in groups.values() {
            let distinct: BTreeSet<&str> = group.iter().map(|index| tools[*index]).collect();
            if distinct.len() < 2 {
                continue;
            }
            unique = false;
            let unchanged = |tool: &str, name: &ToolName| name.as_str().strip_prefix(head.as_str()) == Some(tool);
            let keepers: BTreeSet<&str> = group.iter().filter(|i| unchanged(tools[**i], &names[**i])).map(|i| tools[*i]).collect();
            for index in group {
                let tool = tools[*index];
                if keepers.len() != 1 || !keepers.contains(tool) {
                    names[*index] = shorten(&head, &replaced(tool, true), max, || digest(server.as_str(), tool), Some(chars));
                }
            }
        }
        if unique {
            break;
        }
    }
    names
}

/// The name of a built-in module's tool: `<key>_<tool>` (reference, tool modules section 5). Shortened like [`served_name`] when it is longer
/// than `max`; `key` is a checked module key, so the result is always valid.
#[must_use]
pub fn module_tool_name(key: &str, tool: &str, max: usize) -> ToolName {
    let tool_part = replaced(tool, true);
    shorten(&format!("{}_", module_head(key)), &tool_part, max, || digest(key, tool), None)
}

/// The name of an upstream tool behind an `mcp_proxy` module: every character outside `[A-Za-z0-9_]` becomes `_`, a leading digit gets `tool_`
/// (reference, tool modules section 8.10). Two names that are equal when [`folded`] are a fault of the configuration.
#[must_use]
pub fn proxy_tool_name(key: &str, tool: &str, max: usize) -> ToolName {
    let mut part = replaced(tool, false);
    if part.starts_with(|c: char| c.is_ascii_digit()) {
        part.insert_str(0, "tool_");
    }
    shorten(&format!("{}_", module_head(key)), &part, max, || digest(key, tool), None)
}

/// Splits a served name at its first separator into server and the rest; `None` for the tool of a module.
#[must_use]
pub fn split_served(name: &str) -> Option<(&str, &str)> {
    name.split_once(SEPARATOR)
}

/// The form in which two served names must differ: lower case, `-` as `_`. Some hosts see no more than that.
#[must_use]
pub fn folded(name: &str) -> String {
    name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect()
}

/// Whether `key` may name a module: a letter, then letters, digits, `_`, `-`, at most 32, never `__`, not ending in `_`. Same rule as for
/// servers, so that a module's tool can never look like a server's.
#[must_use]
pub fn is_module_key(key: &str) -> bool {
    server_name(key)
}

fn replaced(tool: &str, dash: bool) -> String {
    tool.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || (dash && c == '-') { c } else { '_' }).collect()
}

/// `key` itself when it is valid. A caller that did not check still gets a valid name.
fn module_head(key: &str) -> String {
    if is_module_key(key) { key.to_owned() } else { format!("m{}", replaced(key, true)).chars().take(32).collect() }
}

fn digest(owner: &str, tool: &str) -> String {
    let hash = Sha256::new().chain_update(owner).chain_update([0]).chain_update(tool).finalize();
    data_encoding::BASE32_NOPAD.encode(&hash).to_lowercase()
}

/// `head` and `tool` (both ASCII), ending in `_` and `suffix` characters of `digest` when asked for or when longer than `max`.
fn shorten(head: &str, tool: &str, max: usize, digest: impl FnOnce() -> String, suffix: Option<usize>) -> ToolName {
    let max = max.clamp(NAME_CHARS_MIN, NAME_CHARS_MAX);
    let mut name = format!("{head}{tool}");
    let suffix = suffix.or((name.len() > max).then_some(DIGEST_CHARS[0]));
    if let Some(chars) = suffix {
        // The head stays whole: the longest one, 34 characters, and the two shorter digests fit under every cap but the smallest.
        let chars = chars.min(max - head.len() - 1);
        name.truncate(max - chars - 1);
        name.push('_');
        name.extend(digest().chars().take(chars));
    }
    ToolName(name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str) -> ServerName {
        ServerName::parse(name).unwrap()
    }

    #[test]
    fn plain_names_stay_readable() {
        let served = |tool| served_name(&server("tickets"), tool, 48).to_string();
        assert_eq!(served("search"), "tickets__search");
        assert_eq!(served("issues.list"), "tickets__issues_list");
        assert_eq!(served("create-Issue/now \u{e4}"), "tickets__create-Issue_now__");
        assert_eq!(split_served("tickets__a__b"), Some(("tickets", "a__b")));
        assert_eq!(split_served("docs_read_file"), None);
    }

    #[test]
    fn long_names_are_cut_and_keep_a_stable_digest() {
        let tool = "a_very_long_tool_name_that_no_host_would_accept";
        // First six base32 characters of SHA-256("tickets\0a_very_long_tool_name_that_no_host_would_accept").
        assert_eq!(served_name(&server("tickets"), tool, 48).as_str(), "tickets__a_very_long_tool_name_that_no_ho_fl7mqb");
        assert_eq!(served_name(&server("tickets"), tool, 48).as_str().len(), 48);
        assert_eq!(served_name(&server("tickets"), tool, 64).as_str(), format!("tickets__{tool}"));
        assert_ne!(served_name(&server("tickets2"), tool, 48).as_str()[42..], served_name(&server("tickets"), tool, 48).as_str()[42..]);
        let longest = server(&"s".repeat(32));
        assert!(served_name(&longest, &"t".repeat(128), 0).as_str().starts_with(&format!("{longest}__t_")));
    }

    #[test]
    fn equal_names_are_told_apart() {
        let names = |tools: &[&str]| served_names(&server("s"), tools, 48).iter().map(ToString::to_string).collect::<Vec<_>>();
        let told = names(&["a.b", "a_b", "a/b"]);
        assert_eq!(told[1], "s__a_b", "the unchanged one keeps its name");
        assert!(told[0].starts_with("s__a_b_") && told[2].starts_with("s__a_b_") && told[0] != told[2]);
        let cases = names(&["Get", "get"]);
        assert!(cases[0].starts_with("s__Get_") && cases[1].starts_with("s__get_"));
        assert_eq!(names(&["x", "x"]), ["s__x", "s__x"], "listed twice is one tool");
        // A tool that is named like the shortened name of another one.
        let squatter = told[0].strip_prefix("s__").unwrap().to_owned();
        let with_squatter = names(&["a.b", "a_b", &squatter]);
        assert_eq!(with_squatter[2], told[0]);
        assert_ne!(with_squatter[0], with_squatter[2]);
    }

    #[test]
    fn module_names_follow_the_reference() {
        assert_eq!(module_tool_name("filesystem", "read_file", 48).as_str(), "filesystem_read_file");
        assert_eq!(proxy_tool_name("task-queue", "jobs.list-all", 48).as_str(), "task-queue_jobs_list_all");
        assert_eq!(proxy_tool_name("q", "2fa", 48).as_str(), "q_tool_2fa");
        assert_eq!(proxy_tool_name("q", &"x".repeat(100), 48).as_str().len(), 48);
        assert!(ToolName::parse(module_tool_name("1 bad", "x", 48).as_str()).is_ok());
        for (key, good) in
            [("docs", true), ("task-queue", true), ("a__b", false), ("a_", false), ("1a", false), ("", false), ("a.b", false)]
        {
            assert_eq!(is_module_key(key), good, "{key}");
        }
    }
}
