//! An instruction as the file of a skill (reference 2.6): a head in YAML, then the body.

use std::fmt::Write as _;

use data_encoding::HEXLOWER;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{DocSlug, NewInstruction};

/// The `SKILL.md` of an instruction: `name` (the slug), `description`, the stored frontmatter in the order of its keys, and
/// `metadata.version`. Same input, same bytes.
///
/// Values are written as JSON, which YAML reads as it is. Slug and description of the record go before members of the same name; an empty
/// description leaves the stored one.
#[must_use]
pub fn skill_text(slug: &DocSlug, text: &NewInstruction, version: i64) -> String {
    let mut out = String::with_capacity(text.body.len() + 512);
    let stored = |key: &str| text.frontmatter.get(key).and_then(Value::as_str).unwrap_or_default();
    let description = if text.description.is_empty() { stored("description") } else { &text.description };
    out.push_str("---\n");
    line(&mut out, "name", &Value::from(slug.as_str()));
    line(&mut out, "description", &Value::from(description));
    for (key, value) in text.frontmatter.iter().filter(|(key, _)| !["name", "description", "metadata"].contains(&key.as_str())) {
        line(&mut out, key, value);
    }
    let mut metadata = text.frontmatter.get("metadata").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    metadata.insert("version".to_owned(), Value::from(version.to_string()));
    line(&mut out, "metadata", &Value::Object(metadata));
    out.push_str("---\n\n");
    out.push_str(&text.body);
    out
}

fn line(out: &mut String, key: &str, value: &Value) {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'-') && !yaml_word(key);
    // Writing to a text cannot fail.
    let _ = if plain { writeln!(out, "{key}: {value}") } else { writeln!(out, "{}: {value}", Value::from(key)) };
}

/// Words that YAML would not read as text, and those that begin with a dash.
fn yaml_word(key: &str) -> bool {
    key.starts_with('-') || ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&key)
}

/// `sha256:<hex>` of a rendering.
#[must_use]
pub fn skill_digest(text: &str) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skill_reads_back_as_yaml_and_has_a_stable_digest() {
        let frontmatter = serde_json::json!({
            "name": "other", "license": "MIT", "yes": [1, "a: b # c"], "metadata": {"author": "x\n---\ny", "version": "9"}, "ke y": null
        });
        let text = NewInstruction {
            description: "says \"what\": it's for # really\n".into(),
            body: "# Body\n".into(),
            frontmatter: frontmatter.as_object().cloned().unwrap(),
            ..NewInstruction::default()
        };
        let slug = DocSlug::parse("true").unwrap();
        let rendered = skill_text(&slug, &text, 3);
        let (head, body) = rendered.strip_prefix("---\n").unwrap().split_once("\n---\n\n").unwrap();
        assert_eq!(body, "# Body\n");
        let read: Value = serde_saphyr::from_str(head).unwrap();
        let expected = serde_json::json!({
            "name": "true", "description": "says \"what\": it's for # really\n", "license": "MIT", "yes": [1, "a: b # c"], "ke y": null,
            "metadata": {"author": "x\n---\ny", "version": "3"}
        });
        assert_eq!(read, expected);
        assert_eq!(skill_digest(&rendered), skill_digest(&skill_text(&slug, &text, 3)));
        assert_ne!(skill_digest(&rendered), skill_digest(&skill_text(&slug, &text, 4)));
        assert_eq!(skill_digest("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
