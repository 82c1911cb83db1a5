//! `read_range`: a part of a text file.

use std::io::{Seek, SeekFrom};

use serde::Deserialize;
use serde_json::json;

use super::path::AgentPath;
use super::read_file::{not_text, read};
use super::tree::{Tree, fault};
use super::{Command, Job, PATHS, path_property};
use crate::arguments::decode;
use crate::blocking::Stop;
use crate::fault::ToolFault;
use crate::output::ToolOutput;
use crate::schema;
use crate::spec::{Access, Hints, ToolSpec};

pub(super) const COMMAND: Command = Command { name: "read_range", access: Access::Read, extended: true, spec, prepare };

/// Longest encoding of one character: what may have to be cut off at either end of a range.
const CHARACTER_BYTES_MAX: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    path: String,
    offset: u64,
    length: u64,
}

fn spec() -> ToolSpec {
    let result = schema::output(&[
        ("content", schema::property("string", "The text of the range.", json!({}))),
        ("offset", schema::property("integer", "Where the text really begins, in bytes.", json!({ "minimum": 0 }))),
        (
            "next_offset",
            json!({ "type": ["integer", "null"], "description": "Where to go on reading, in bytes; null at the end of the file." }),
        ),
        ("bytes", schema::property("integer", "Size of the whole file.", json!({ "minimum": 0 }))),
    ]);
    let about = "Returns a part of a UTF-8 text file. The range is narrowed to whole characters; go on at next_offset.";
    ToolSpec {
        name: COMMAND.name.into(),
        title: "Read a part of a file".into(),
        description: format!("{about} {PATHS}").into(),
        input_schema: schema::object(
            &[
                ("path", path_property("The file to read.")),
                ("offset", schema::property("integer", "First byte of the range, counted from 0.", json!({ "minimum": 0 }))),
                ("length", schema::property("integer", "Most bytes to return.", json!({ "minimum": CHARACTER_BYTES_MAX }))),
            ],
            &["path", "offset", "length"],
        ),
        output_schema: Some(result),
        access: COMMAND.access,
        hints: Hints::READ,
    }
}

fn prepare(tree: &Tree, arguments: &str) -> Result<Job, ToolFault> {
    let Arguments { path, offset, length } = decode(arguments)?;
    let path = tree.named(path)?;
    if length < CHARACTER_BYTES_MAX as u64 {
        return Err(ToolFault::invalid(format!("length is below {CHARACTER_BYTES_MAX}"), "ask for more bytes, so that a character fits"));
    }
    if length > tree.read_bytes_max {
        let message = format!("length is above the read limit of {} bytes", tree.read_bytes_max);
        return Err(ToolFault::limit("max_read_bytes", tree.read_bytes_max, message, "ask for fewer bytes"));
    }
    Ok(Box::new(move |tree, stop| run(tree, &path, offset, length, stop)))
}

fn run(tree: &Tree, path: &AgentPath, offset: u64, length: u64, stop: &Stop) -> Result<ToolOutput, ToolFault> {
    let (mut file, facts) = tree.open_file(path)?;
    file.seek(SeekFrom::Start(offset)).map_err(|e| fault(e, path))?;
    let content = read(file, length.min(facts.bytes), length, path, stop)?;
    let at_end = offset.saturating_add(content.len() as u64) >= facts.bytes;
    let (skipped, text) = whole_characters(&content, offset, at_end).ok_or_else(|| not_text(path))?;
    let begin = offset + skipped as u64;
    let end = begin + text.len() as u64;
    let next = (!at_end).then_some(end);
    ToolOutput::json(&json!({ "content": text, "offset": begin, "next_offset": next, "bytes": facts.bytes }))
}

/// The text of a range without the torn characters at its ends, and how many bytes were cut off in front. `None` when it
/// is not text. Nothing is torn at the very beginning and end of the file.
fn whole_characters(content: &[u8], offset: u64, at_end: bool) -> Option<(usize, &str)> {
    let torn = |b: &&u8| **b & 0b1100_0000 == 0b1000_0000;
    let skipped = if offset == 0 { 0 } else { content.iter().take(CHARACTER_BYTES_MAX - 1).take_while(torn).count() };
    let rest = &content[skipped..];
    match std::str::from_utf8(rest) {
        Ok(text) => Some((skipped, text)),
        Err(e) if e.error_len().is_none() && !at_end => std::str::from_utf8(&rest[..e.valid_up_to()]).ok().map(|text| (skipped, text)),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_is_not_utf8_is_refused() {
        assert_eq!(whole_characters(b"ab\xffcd", 0, false), None);
        assert_eq!(whole_characters(b"\x80ab", 0, true), None);
        assert_eq!(whole_characters(b"ab\xe2\x82", 0, true), None);
        assert_eq!(whole_characters(b"ab\xe2\x82", 0, false), Some((0, "ab")));
        assert_eq!(whole_characters(b"", 9, true), Some((0, "")));
    }

    proptest! {
        #[test]
        fn following_next_offset_reads_the_whole_text(text in ".{0,60}", step in 4_usize..9) {
            let (bytes, mut at, mut seen) = (text.as_bytes(), 0, String::new());
            loop {
                let part = &bytes[at..bytes.len().min(at + step)];
                let at_end = at + part.len() == bytes.len();
                let (skipped, read) = whole_characters(part, at as u64, at_end).unwrap();
                prop_assert_eq!(skipped, 0);
                seen.push_str(read);
                if at_end {
                    break;
                }
                prop_assert!(!read.is_empty());
                at += read.len();
            }
            prop_assert_eq!(seen, text);
        }
    }
}
