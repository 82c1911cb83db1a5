//! The tools of a behaviour, rendered once so that an answer costs little.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::behaviour::{Act, BIG_BYTES_MAX, Behaviour};

/// The lists, by their place in [`Catalog::page`].
pub(super) const TOOLS: usize = 0;
pub(super) const PROMPTS: usize = 1;
pub(super) const RESOURCES: usize = 2;
pub(super) const TEMPLATES: usize = 3;

/// Rendered pages of the lists and the acts by name.
pub(super) struct Catalog {
    /// JSON arrays of items, by list.
    lists: [Vec<String>; 4],
    acts: HashMap<String, Act>,
    big: String,
}

impl Catalog {
    pub(super) fn new(behaviour: &Behaviour) -> Self {
        let mut tools: Vec<String> = behaviour.tools.iter().map(|t| t.definition.to_string()).collect();
        let mut acts: HashMap<String, Act> = behaviour.tools.iter().map(|t| (t.name().to_owned(), t.act.clone())).collect();
        for number in 0..behaviour.fillers {
            let name = format!("filler_{number:05}");
            tools.push(filler(&name, number));
            acts.insert(name, Act::Echo);
        }
        let prompts = behaviour.prompts.iter().map(|prompt| prompt.definition.to_string()).collect();
        let resources = behaviour.resources.iter().map(|resource| resource.definition.to_string()).collect();
        let templates = behaviour.templates.iter().map(ToString::to_string).collect();
        let lists = [tools, prompts, resources, templates].map(|items| pages(&items, behaviour.page));
        Self { lists, acts, big: String::new() }
    }

    pub(super) fn act(&self, tool: &str) -> Option<&Act> {
        self.acts.get(tool)
    }

    /// The array of a page of a list and the cursor of the next.
    pub(super) fn page(&self, list: usize, cursor: Option<&str>) -> Option<(&str, Option<usize>)> {
        let number = match cursor {
            None => 0,
            Some(text) => text.strip_prefix("page-")?.parse().ok()?,
        };
        let pages = self.lists.get(list)?;
        let page = pages.get(number)?;
        Some((page, (number + 1 < pages.len()).then_some(number + 1)))
    }

    /// Makes [`Catalog::text`] cheap for up to `bytes`.
    pub(super) fn prepare_text(&mut self, bytes: usize) {
        self.big = text(bytes);
    }

    /// A text of `bytes` bytes that needs no escaping.
    pub(super) fn text(&self, bytes: usize) -> std::borrow::Cow<'_, str> {
        let bytes = bytes.min(BIG_BYTES_MAX);
        match self.big.get(..bytes) {
            Some(ready) => ready.into(),
            None => text(bytes).into(),
        }
    }
}

fn pages(items: &[String], per_page: usize) -> Vec<String> {
    let per_page = if per_page == 0 { items.len().max(1) } else { per_page };
    let mut pages: Vec<String> = items.chunks(per_page).map(|page| format!("[{}]", page.join(","))).collect();
    if pages.is_empty() {
        pages.push("[]".into());
    }
    pages
}

pub(super) fn text(bytes: usize) -> String {
    const PATTERN: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let mut text = PATTERN.repeat(bytes / PATTERN.len() + 1);
    text.truncate(bytes);
    text
}

/// A tool with a schema of ordinary size.
fn filler(name: &str, number: usize) -> String {
    let mut tool = String::with_capacity(900);
    let _ =
        write!(tool, r#"{{"name":"{name}","title":"Ledger book {number}","description":"Looks up postings in book {number} by account, "#);
    tool.push_str(
        "period and text. The newest posting comes first; at most `count` are returned, and `after` continues an earlier answer. ",
    );
    tool.push_str(r#"It changes nothing.","inputSchema":{"type":"object","properties":{"#);
    tool.push_str(r#""account":{"type":"string","description":"Number of the account, four to eight digits","pattern":"^[0-9]{4,8}$"},"#);
    tool.push_str(r#""period":{"type":"string","enum":["month","quarter","year","all"],"description":"How far to look back"},"#);
    tool.push_str(r#""text":{"type":"string","maxLength":200,"description":"Words that the posting must contain"},"#);
    tool.push_str(
        r#""count":{"type":"integer","minimum":1,"maximum":100,"default":20},"after":{"type":"string"},"payload":{"type":"string"}},"#,
    );
    tool.push_str(r#""additionalProperties":false},"annotations":{"readOnlyHint":true,"idempotentHint":true,"openWorldHint":false}}"#);
    tool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_json_and_the_cursors_lead_through_all() {
        let catalog = Catalog::new(&Behaviour { fillers: 12, page: 5, ..Behaviour::default() });
        let (mut cursor, mut names) = (None, Vec::new());
        loop {
            let (page, next) = catalog.page(TOOLS, cursor.as_deref()).unwrap();
            let tools: Vec<serde_json::Value> = serde_json::from_str(page).unwrap();
            names.extend(tools.iter().map(|t| t["name"].as_str().unwrap().to_owned()));
            let Some(next) = next else { break };
            cursor = Some(format!("page-{next}"));
        }
        assert_eq!(names.len(), 17);
        assert!(names.iter().all(|n| catalog.act(n).is_some()));
        assert!(catalog.page(TOOLS, Some("page-9")).is_none() && catalog.page(TOOLS, Some("x")).is_none());
        let size = filler("filler_00000", 0).len();
        assert!((700..900).contains(&size), "{size}");
    }
}
