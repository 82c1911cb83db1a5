//! URIs inside results, as the caller knows them (protocol reference 5.6). Everything else stays byte for byte.

use bailiwick_mcp::encode::array;
use bailiwick_mcp::{Json, Kind};
use bailiwick_model::ServerName;

use super::resource::Routes;

/// Gives the URIs of one server's results the names they have in one view.
#[derive(Clone, Copy)]
pub(crate) struct Relabel<'v> {
    routes: &'v Routes,
    server: &'v ServerName,
}

impl<'v> Relabel<'v> {
    /// `None` when nothing in this view ever has another name.
    pub(crate) fn new(routes: &'v Routes, server: &'v ServerName) -> Option<Self> {
        routes.rewrites().then_some(Self { routes, server })
    }

    /// A result of `tools/call`: resource links and embedded resources.
    pub(crate) fn tool_result(self, result: Json) -> Json {
        within(&result, "content", |content| self.blocks(content)).unwrap_or(result)
    }

    /// A result of `prompts/get`: the same inside its messages.
    pub(crate) fn prompt_result(self, result: Json) -> Json {
        let message = |message: &Json| within(message, "content", |content| self.blocks(content));
        within(&result, "messages", |messages| each(messages, message)).unwrap_or(result)
    }

    /// A result of `resources/read`.
    pub(crate) fn contents(self, result: Json) -> Json {
        within(&result, "contents", |contents| each(contents, |content| self.uri(content, "uri"))).unwrap_or(result)
    }

    /// A definition of a resource (`uri`) or a template (`uriTemplate`).
    pub(crate) fn definition(self, definition: &Json, member: &str) -> Json {
        self.uri(definition, member).unwrap_or_else(|| definition.clone())
    }

    /// A definition of a tool: the page of its app.
    pub(crate) fn tool_definition(self, definition: &Json) -> Json {
        let app = |ui: &Json| self.uri(ui, "resourceUri");
        let changed = within(definition, "_meta", |meta| {
            let nested = within(meta, "ui", app);
            let flat = self.uri(nested.as_ref().unwrap_or(meta), "ui/resourceUri");
            flat.or(nested)
        });
        changed.unwrap_or_else(|| definition.clone())
    }

    /// One content block, or an array of them.
    fn blocks(self, content: &Json) -> Option<Json> {
        if content.kind() == Kind::Array { each(content, |block| self.block(block)) } else { self.block(content) }
    }

    fn block(self, block: &Json) -> Option<Json> {
        match block.text_of("type").as_deref() {
            Some("resource_link") => self.uri(block, "uri"),
            Some("resource") => within(block, "resource", |resource| self.uri(resource, "uri")),
            _ => None,
        }
    }

    /// The object with its URI renamed; `None` when it keeps its name.
    fn uri(self, object: &Json, member: &str) -> Option<Json> {
        let shown = self.routes.shown(self.server, &object.text_of(member)?)?;
        Some(object.edit(&[], &[(member, &Json::from_text(&shown))]))
    }
}

/// The object with one member changed; `None` when nothing changes.
pub(crate) fn within(object: &Json, member: &str, change: impl FnOnce(&Json) -> Option<Json>) -> Option<Json> {
    let changed = change(&object.member(member)?)?;
    Some(object.edit(&[], &[(member, &changed)]))
}

/// The array with some elements changed; `None` when nothing changes.
pub(crate) fn each(list: &Json, change: impl Fn(&Json) -> Option<Json>) -> Option<Json> {
    if list.kind() != Kind::Array {
        return None;
    }
    let mut any = false;
    let elements: Vec<Json> = list
        .elements()
        .map(|element| match change(&element) {
            Some(changed) => {
                any = true;
                changed
            }
            None => element,
        })
        .collect();
    any.then(|| array(&elements))
}
