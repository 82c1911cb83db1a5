//! What in a result is not for reading: binary data, and the protocol's own words.

use bailiwick_mcp::{Json, Kind};

use crate::call::decode::Subject;

/// Where in a message binary data may stand. Elsewhere, whatever it calls itself, it is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    Tool,
    Prompt,
    Resource,
    /// Data that somebody else gave a form: every name and value in it is his.
    Free,
    /// A message of the protocol without binary data.
    Plain,
}

impl Layout {
    pub(crate) const fn of(subject: Subject) -> Self {
        match subject {
            Subject::Tool | Subject::TaskGet | Subject::TaskUpdate | Subject::TaskCancel => Self::Tool,
            Subject::Prompt => Self::Prompt,
            Subject::Resource => Self::Resource,
            Subject::Completion => Self::Plain,
        }
    }
}

/// How a string is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Binary: neither read nor changed.
    Binary,
    /// Base64 of what is declared to be text.
    TextBlob,
    /// Base64 of something undeclared: text when it is UTF-8.
    Undeclared,
}

/// The strings with a treatment of their own, by where they begin in `whole`, in order.
pub(super) fn treatments(whole: &Json, layout: Layout) -> Vec<(usize, Treatment)> {
    let mut found = Found { base: whole.bytes().as_ptr() as usize, places: Vec::new() };
    match layout {
        Layout::Tool => {
            found.blocks(whole.member("content"));
            found.blocks(whole.member("result").and_then(|result| result.member("content")));
        }
        Layout::Prompt => {
            let messages = whole.member("messages");
            for message in messages.iter().flat_map(Json::elements) {
                found.blocks(message.member("content"));
            }
        }
        Layout::Resource => {
            let contents = whole.member("contents");
            contents.iter().flat_map(Json::elements).for_each(|content| found.content(&content));
        }
        Layout::Free | Layout::Plain => {}
    }
    found.places.sort_unstable_by_key(|(start, _)| *start);
    found.places
}

struct Found {
    /// Where the whole begins in memory: its parts share its buffer.
    base: usize,
    places: Vec<(usize, Treatment)>,
}

impl Found {
    fn note(&mut self, value: Option<Json>, treatment: Treatment) {
        let start = value.and_then(|value| (value.bytes().as_ptr() as usize).checked_sub(self.base));
        self.places.extend(start.map(|start| (start, treatment)));
    }

    /// One content block, or an array of them.
    fn blocks(&mut self, content: Option<Json>) {
        let Some(content) = content else { return };
        if content.kind() == Kind::Array {
            content.elements().for_each(|block| self.block(&block));
        } else {
            self.block(&content);
        }
    }

    fn block(&mut self, block: &Json) {
        match block.text_of("type").as_deref() {
            Some("image" | "audio") => self.note(block.member("data"), Treatment::Binary),
            Some("resource") => {
                if let Some(resource) = block.member("resource") {
                    self.content(&resource);
                }
            }
            _ => {}
        }
    }

    fn content(&mut self, content: &Json) {
        let treatment = match content.text_of("mimeType").as_deref() {
            None | Some("") => Treatment::Undeclared,
            Some(mime) if is_text(mime) => Treatment::TextBlob,
            Some(_) => Treatment::Binary,
        };
        self.note(content.member("blob"), treatment);
    }
}

fn is_text(mime: &str) -> bool {
    let kind = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let kind = kind.as_str();
    let known =
        matches!(kind, "application/json" | "application/xml" | "application/javascript" | "application/yaml" | "application/x-yaml");
    known || kind.starts_with("text/") || ["+json", "+xml", "+yaml"].iter().any(|suffix| kind.ends_with(suffix))
}

/// Members below which every name and value belongs to whoever wrote the message.
pub(super) fn opens_free(name: &str) -> bool {
    matches!(name, "structuredContent" | "_meta" | "requestedSchema" | "inputRequests" | "data")
}

/// Names that the protocol gives; changing one would break the message, and they tell nothing.
pub(super) fn is_protocol_name(name: &str) -> bool {
    #[rustfmt::skip]
    let known = matches!(
        name,
        "_meta" | "annotations" | "audience" | "blob" | "cacheScope" | "completion" | "content" | "contents" | "createdAt" | "data"
            | "description" | "error" | "hasMore" | "icons" | "inputRequests" | "isError" | "lastModified" | "lastUpdatedAt" | "level"
            | "logger" | "message" | "messages" | "method" | "mimeType" | "mode" | "name" | "params" | "pollIntervalMs" | "priority"
            | "progress" | "progressToken" | "requestState" | "requestedSchema" | "resource" | "result" | "resultType" | "role" | "size"
            | "status" | "statusMessage" | "structuredContent" | "task" | "taskId" | "text" | "title" | "total" | "ttlMs" | "type" | "uri"
            | "url" | "values"
    );
    known
}

/// Members whose numbers the protocol reads.
pub(super) fn is_protocol_number(name: &str) -> bool {
    matches!(name, "priority" | "progress" | "progressToken" | "total" | "size" | "ttlMs" | "pollIntervalMs" | "code")
}

/// Values that the protocol or this gateway gives: words of a list, and names that we made.
pub(super) fn is_protocol_value(name: &str, value: &str) -> bool {
    match name {
        "requestState" | "taskId" | "cacheScope" => true,
        "type" => matches!(value, "text" | "image" | "audio" | "resource" | "resource_link" | "tool_use" | "tool_result"),
        "role" => matches!(value, "user" | "assistant"),
        "resultType" => matches!(value, "complete" | "input_required" | "task"),
        "status" => matches!(value, "working" | "input_required" | "completed" | "failed" | "cancelled"),
        "mode" => matches!(value, "form" | "url"),
        "level" => matches!(value, "debug" | "info" | "notice" | "warning" | "error" | "critical" | "alert" | "emergency"),
        "method" => matches!(value, "elicitation/create" | "sampling/createMessage" | "roots/list"),
        _ => false,
    }
}
