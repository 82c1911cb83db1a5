//! Instructions: texts that an organisation writes for its agents, and the rules that a new one must meet (reference, governance
//! section 2). Pure: what may be written is decided here, where it is kept is the store's.

mod attribution;
mod blocklist;
mod code_text;
mod doc;
mod hidden;
mod reason;
mod references;
mod skill;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

pub use blocklist::{BLOCKLIST_TERMS_MAX, Blocklist, InvalidTerm, TERM_CHARS_MAX, Term, TermMode};
pub use doc::{DOC_NAME_CHARS_MAX, DocKind, DocOwner, DocSlug};
pub use hidden::hides;
pub use reason::{REASONS_MAX, Reason, Rule};
pub use references::{TOOL_REFERENCES_MAX, ToolReferences, tool_references};
pub use skill::{skill_digest, skill_text};

use reason::Reasons;

/// Longest title.
pub const TITLE_CHARS_MAX: usize = 200;
/// Longest description.
pub const DESCRIPTION_CHARS_MAX: usize = 1024;
/// Largest body; the smallest is one byte.
pub const BODY_BYTES_MAX: usize = 256 << 10;
/// Largest frontmatter, as JSON text.
pub const FRONTMATTER_BYTES_MAX: usize = 16 << 10;
/// Levels of arrays and objects in a frontmatter.
pub const FRONTMATTER_DEPTH_MAX: usize = 8;
/// Longest key of a frontmatter; a YAML reader need not take one of more than 1,024.
pub const FRONTMATTER_KEY_CHARS_MAX: usize = 128;

/// An instruction as somebody wants it written, unchecked: [`vet`](Self::vet) makes it one that the store takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewInstruction {
    /// See [`DocKind`].
    pub kind: String,
    /// See [`DocSlug`].
    pub slug: String,
    /// A line for people; may be empty.
    pub title: String,
    /// What it is for, so that an agent can decide whether to load it; may be empty.
    pub description: String,
    /// The text itself, Markdown or other.
    pub body: String,
    /// What goes into the head of the SKILL.md rendering beside name and description.
    pub frontmatter: Map<String, Value>,
}

/// What an organisation demands of its instructions beyond the rules of form.
#[derive(Clone, Debug, Default)]
pub struct HouseRules {
    /// Names of persons and clients that no text may contain.
    pub blocklist: Blocklist,
    /// Whether quotations attributed to a person are refused.
    pub forbid_attribution: bool,
    /// Whether the frontmatter must hold a `name` and a `description`.
    pub require_frontmatter: bool,
}

/// An instruction that met the rules; only [`NewInstruction::vet`] makes one, and the store writes nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VettedInstruction {
    kind: DocKind,
    slug: DocSlug,
    text: NewInstruction,
}

impl VettedInstruction {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> &DocKind {
        &self.kind
    }

    /// Its name within the kind.
    #[must_use]
    pub const fn slug(&self) -> &DocSlug {
        &self.slug
    }

    /// All of it.
    #[must_use]
    pub const fn text(&self) -> &NewInstruction {
        &self.text
    }
}

impl NewInstruction {
    /// Checks the text and marks it as checked. Line ends of another system are no reason to refuse it; they are made ours.
    ///
    /// # Errors
    /// Every reason that [`check`] finds, at least one.
    pub fn vet(self, rules: &HouseRules) -> Result<VettedInstruction, Vec<Reason>> {
        let new = Self { body: self.body.replace("\r\n", "\n"), ..self };
        let reasons = check(&new, rules);
        match (DocKind::parse(&new.kind), DocSlug::parse(&new.slug)) {
            (Ok(kind), Ok(slug)) if reasons.is_empty() => Ok(VettedInstruction { kind, slug, text: new }),
            _ => Err(reasons),
        }
    }
}

/// Why `new` may not be written (reference 2.3): every reason, those of the form first, at most [`REASONS_MAX`]. Empty when it may.
///
/// What it does not see through: letters of other scripts that look alike, and names broken up by markup.
#[must_use]
pub fn check(new: &NewInstruction, rules: &HouseRules) -> Vec<Reason> {
    let mut reasons = Reasons::default();
    check_names(new, &mut reasons);
    check_sizes(new, &mut reasons);
    check_frontmatter(&new.frontmatter, rules.require_frontmatter, &mut reasons);
    for field in fields(new) {
        hidden::check(&field, &mut reasons);
        rules.blocklist.check(&field, &mut reasons);
        if rules.forbid_attribution {
            attribution::check(&field, &mut reasons);
        }
    }
    reasons.take()
}

/// One text of an instruction.
struct Field<'a> {
    /// Where it stands, e.g. `body` or `frontmatter.metadata.author`.
    place: String,
    text: &'a str,
    /// A kind or slug: what separates its words is `-` and `_`.
    name: bool,
}

fn check_names(new: &NewInstruction, reasons: &mut Reasons) {
    let kind = DocKind::parse(&new.kind).err().map(|error| ("kind", error));
    let slug = DocSlug::parse(&new.slug).err().map(|error| ("slug", error));
    for (field, error) in kind.into_iter().chain(slug) {
        reasons.add(Rule::Name, field, error.rule());
    }
}

fn check_sizes(new: &NewInstruction, reasons: &mut Reasons) {
    for (field, text, max) in [("title", &new.title, TITLE_CHARS_MAX), ("description", &new.description, DESCRIPTION_CHARS_MAX)] {
        let chars = text.chars().count();
        if chars > max {
            reasons.add(Rule::Size, field, format!("{chars} characters; at most {max}"));
        }
    }
    match new.body.len() {
        0 => reasons.add(Rule::Size, "body", "is empty"),
        bytes if bytes > BODY_BYTES_MAX => reasons.add(Rule::Size, "body", format!("{bytes} bytes; at most {BODY_BYTES_MAX}")),
        _ => {}
    }
}

fn check_frontmatter(frontmatter: &Map<String, Value>, required: bool, reasons: &mut Reasons) {
    let bytes = serde_json::to_string(frontmatter).map_or(usize::MAX, |text| text.len());
    if bytes > FRONTMATTER_BYTES_MAX {
        reasons.add(Rule::Size, "frontmatter", format!("{bytes} bytes as JSON; at most {FRONTMATTER_BYTES_MAX}"));
    }
    if depth(frontmatter.values()) >= FRONTMATTER_DEPTH_MAX {
        reasons.add(Rule::Size, "frontmatter", format!("more than {FRONTMATTER_DEPTH_MAX} levels deep"));
    }
    if longest_key(frontmatter) > FRONTMATTER_KEY_CHARS_MAX {
        reasons.add(Rule::Size, "frontmatter", format!("a key of more than {FRONTMATTER_KEY_CHARS_MAX} characters"));
    }
    if frontmatter.get("metadata").is_some_and(|metadata| !metadata.is_object()) {
        reasons.add(Rule::Frontmatter, "frontmatter.metadata", "is not an object; the version is entered there");
    }
    for key in ["name", "description"].into_iter().filter(|_| required) {
        if frontmatter.get(key).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty()) {
            reasons.add(Rule::Frontmatter, format!("frontmatter.{key}"), "is required as a text that is not empty");
        }
    }
}

/// Levels of arrays and objects among `values`, counted no further than the limit.
fn depth<'a>(values: impl Iterator<Item = &'a Value>) -> usize {
    let mut level: Vec<&Value> = values.filter(|value| value.is_object() || value.is_array()).collect();
    let mut depth = 0;
    while !level.is_empty() && depth < FRONTMATTER_DEPTH_MAX {
        depth += 1;
        level = level.into_iter().flat_map(children).filter(|value| value.is_object() || value.is_array()).collect();
    }
    depth
}

/// Characters of the longest key; those of nested objects stand within values and have the limit of all.
fn longest_key(frontmatter: &Map<String, Value>) -> usize {
    frontmatter.keys().map(|key| key.chars().count()).max().unwrap_or(0)
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Object(members) => Box::new(members.values()),
        Value::Array(items) => Box::new(items.iter()),
        _ => Box::new(std::iter::empty()),
    }
}

/// Every text that an agent may come to see, keys of the frontmatter included.
fn fields(new: &NewInstruction) -> Vec<Field<'_>> {
    let named = |place: &str, text, name| Field { place: place.to_owned(), text, name };
    let mut fields = vec![
        named("kind", new.kind.as_str(), true),
        named("slug", new.slug.as_str(), true),
        named("title", &new.title, false),
        named("description", &new.description, false),
        named("body", &new.body, false),
    ];
    let mut open: Vec<(String, &Value)> = Vec::new();
    members(&mut fields, &mut open, "frontmatter", &new.frontmatter);
    while let Some((place, value)) = open.pop() {
        match value {
            Value::String(text) => fields.push(named(&place, text, false)),
            Value::Array(items) => {
                open.extend(items.iter().enumerate().rev().map(|(index, item)| (format!("{place}[{index}]"), item)));
            }
            Value::Object(object) => members(&mut fields, &mut open, &place, object),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    fields
}

/// A key stands for a text of its object: a place that repeated it would show what was found.
fn members<'a>(fields: &mut Vec<Field<'a>>, open: &mut Vec<(String, &'a Value)>, place: &str, object: &'a Map<String, Value>) {
    fields.extend(object.keys().map(|key| Field { place: place.to_owned(), text: key, name: false }));
    for (key, value) in object.iter().rev() {
        let plain = key.len() <= DOC_NAME_CHARS_MAX && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        open.push((format!("{place}.{}", if plain { key.as_str() } else { "*" }), value));
    }
}
