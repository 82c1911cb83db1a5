//! `search`: files by name, and lines in them by text.

use std::io::Read;

use memchr::memmem::Finder;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::path::{AgentPath, DEPTH_MAX};
use super::root::{Facts, Kind};
use super::temporary::is_temporary;
use super::tree::{Tree, fault};
use super::{Command, Job, PATHS, path_property};
use crate::arguments::decode;
use crate::blocking::Stop;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

/// Files and directories looked at in one search.
const VISITED_MAX: usize = 50_000;
/// Matches in one answer.
const MATCHES_MAX: usize = 500;
/// Bytes of content looked through in one search.
const SCANNED_BYTES_MAX: u64 = 64 << 20;
/// Larger files are not looked into.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Characters of a matching line that are shown.
const LINE_CHARS_MAX: usize = 200;
/// Longest pattern and text.
const NEEDLE_BYTES_MAX: usize = 256;

pub(super) const COMMAND: Command = Command { name: "search", access: Access::Read, extended: true, spec, prepare };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    path: String,
    #[serde(default = "any")]
    name: String,
    #[serde(default)]
    text: String,
}

fn any() -> String {
    "*".to_owned()
}

#[derive(Serialize)]
struct Match {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
}

#[derive(Default, Serialize)]
struct Found {
    matches: Vec<Match>,
    complete: bool,
}

fn spec() -> ToolSpec {
    let about = "Finds files beneath a directory by name, and with `text` the lines in them that contain it exactly (upper and lower case differ). \
                 Links are not followed; large and binary files are not looked into.";
    let mut path = path_property("Where to begin; empty for your own directory.");
    path["default"] = json!("");
    let wildcard = "File names to look at: `*` stands for any characters, `?` for one.";
    let one = schema::object(
        &[
            ("path", schema::property("string", "The file.", json!({}))),
            ("line", schema::property("integer", "Number of the line, from 1.", json!({ "minimum": 1 }))),
            ("content", schema::property("string", "The line, cut if it is long.", json!({}))),
        ],
        &["path"],
    );
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Search files".into(),
        description: format!("{about} {PATHS}").into(),
        input_schema: schema::object(
            &[
                ("path", path),
                ("name", schema::property("string", wildcard, json!({ "default": "*", "maxLength": NEEDLE_BYTES_MAX }))),
                (
                    "text",
                    schema::property(
                        "string",
                        "Text to find; empty to match names only.",
                        json!({ "default": "", "maxLength": NEEDLE_BYTES_MAX }),
                    ),
                ),
            ],
            &[],
        ),
        output_schema: Some(schema::output(&[
            ("matches", schema::property("array", "What was found, by path and line.", json!({ "items": one }))),
            ("complete", schema::property("boolean", "False when the search stopped at a limit: narrow it down.", json!({}))),
        ])),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path, name, text } = decode(arguments)?;
    let path = tree.path(path)?;
    if name.len().max(text.len()) > NEEDLE_BYTES_MAX || text.contains('\n') {
        return Err(ToolFault::invalid(
            format!("name and text have at most {NEEDLE_BYTES_MAX} bytes, and text is one line"),
            "search for something shorter",
        ));
    }
    Ok(Box::new(move |tree, stop| Search::new(tree, &name, &text, stop).run(&path)))
}

struct Search<'a> {
    tree: &'a Tree,
    stop: &'a Stop,
    name: Vec<char>,
    text: Option<Finder<'a>>,
    visited: usize,
    scanned: u64,
    matches: Vec<Match>,
}

impl<'a> Search<'a> {
    fn new(tree: &'a Tree, name: &str, text: &'a str, stop: &'a Stop) -> Self {
        let text = (!text.is_empty()).then(|| Finder::new(text));
        Self { tree, stop, name: name.chars().collect(), text, visited: 0, scanned: 0, matches: Vec::new() }
    }

    fn run(mut self, start: &AgentPath) -> Result<ToolOutput, ToolFault> {
        self.tree.root.directory(start.inner()).map_err(|e| fault(e, start))?;
        let mut waiting = vec![start.inner().to_owned()];
        let mut complete = true;
        while let Some(inner) = waiting.pop() {
            complete &= self.directory(&inner, &mut waiting)?;
            if self.full() {
                complete = false;
                break;
            }
        }
        self.matches.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        ToolOutput::json(&Found { matches: self.matches, complete })
    }

    fn full(&self) -> bool {
        self.visited >= VISITED_MAX || self.matches.len() >= MATCHES_MAX || self.scanned >= SCANNED_BYTES_MAX
    }

    /// Looks at one directory; answers whether all of it was seen.
    fn directory(&mut self, inner: &str, waiting: &mut Vec<String>) -> Result<bool, ToolFault> {
        // Removed or closed to us since it was listed.
        let Ok(dir) = self.tree.root.directory(inner) else { return Ok(true) };
        let Ok(entries) = dir.entries() else { return Ok(true) };
        for entry in entries.flatten() {
            self.stop.check()?;
            if self.full() {
                return Ok(false);
            }
            self.visited += 1;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            let path = if inner.is_empty() { name.clone() } else { format!("{inner}/{name}") };
            if kind.is_dir() && path.matches('/').count() < DEPTH_MAX {
                waiting.push(path);
            } else if kind.is_file() && !is_temporary(&name) && wildcard(&self.name, &name) {
                self.file(path)?;
            }
        }
        Ok(true)
    }

    fn file(&mut self, path: String) -> Result<(), ToolFault> {
        let Some(finder) = self.text.clone() else {
            self.matches.push(Match { path, line: None, content: None });
            return Ok(());
        };
        let Some(content) = self.content(&path)? else { return Ok(()) };
        let mut line = 1;
        let mut counted = 0;
        let mut after = 0;
        while let Some(at) = finder.find(&content.as_bytes()[after..]).map(|at| at + after) {
            self.stop.check()?;
            if self.matches.len() >= MATCHES_MAX {
                break;
            }
            line += memchr::memchr_iter(b'\n', &content.as_bytes()[counted..at]).count();
            counted = at;
            let begin = content[..at].rfind('\n').map_or(0, |n| n + 1);
            let end = content[at..].find('\n').map_or(content.len(), |n| n + at);
            let shown = content[begin..end].chars().take(LINE_CHARS_MAX).collect();
            self.matches.push(Match { path: path.clone(), line: Some(line), content: Some(shown) });
            after = end;
        }
        Ok(())
    }

    /// The text of a file that may be looked into; `None` for any other.
    fn content(&mut self, path: &str) -> Result<Option<String>, ToolFault> {
        let Ok(file) = self.tree.root.open(path) else { return Ok(None) };
        let Ok(facts) = file.metadata().map(|m| Facts::from(&m)) else { return Ok(None) };
        let refused = facts.kind != Kind::File || (facts.links > 1 && self.tree.refuse_hard_links);
        if refused || facts.bytes > FILE_BYTES_MAX {
            return Ok(None);
        }
        self.scanned += facts.bytes;
        self.stop.check()?;
        let mut content = Vec::with_capacity(usize::try_from(facts.bytes).unwrap_or(0));
        if file.take(FILE_BYTES_MAX).read_to_end(&mut content).is_err() {
            return Ok(None);
        }
        Ok(String::from_utf8(content).ok())
    }
}

/// Whether `name` fits `pattern` as a whole. Goes back only to the last `*`, so the time is at most the product of the lengths.
fn wildcard(pattern: &[char], name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, eaten)) = star else { return false };
                star = Some((at, eaten + 1));
                p = at + 1;
                n = eaten + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::wildcard;

    #[test]
    fn wildcards_match_the_whole_name() {
        let fits = |pattern: &str, name: &str| wildcard(&pattern.chars().collect::<Vec<_>>(), name);
        for (pattern, name) in [("*", ""), ("*", "x"), ("*.md", "a.md"), ("a?c", "aéc"), ("*a*b*", "xaxxb"), ("a**", "a"), ("", "")] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("", "x"), ("?", ""), ("*.md", "a.mdx"), ("a?c", "ac"), ("*a*b*", "ba"), ("[ab]", "a")] {
            assert!(!fits(pattern, name), "{pattern} {name}");
        }
    }
}
