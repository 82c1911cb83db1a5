//! What everybody may see: the document, and a page about it. Neither holds anything of an organisation. The page has no script and
//! loads nothing.

use std::sync::LazyLock;

use axum::body::Body;
use bailiwick_model::Code;
use http::{HeaderValue, Method, Response, header};
use serde_json::Value;

use super::answer;
use super::operation::Verb;
use super::problem::Problem;
use super::{document, routes};

/// The page.
pub(crate) const PATH: &str = "/docs";
const DOCUMENT_PATH: &str = "/v1/openapi.json";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document::text(&routes()));
static PAGE: LazyLock<String> = LazyLock::new(|| page(&document::document(&routes())));

/// A page that needs no credential.
#[derive(Clone, Copy)]
pub(crate) enum OpenPage {
    Document,
    Docs,
}

/// The page at `path`, if there is one.
pub(crate) fn open_page(path: &str) -> Option<OpenPage> {
    match path {
        DOCUMENT_PATH => Some(OpenPage::Document),
        PATH => Some(OpenPage::Docs),
        _ => None,
    }
}

impl OpenPage {
    pub(crate) fn answer(self, method: &Method) -> Result<Response<Body>, Problem> {
        if Verb::of(method) != Some(Verb::Get) {
            return Err(Problem::method(method, [Verb::Get].into_iter()));
        }
        let mut response = match self {
            Self::Document => answer::of_type("application/json", DOCUMENT.as_str()),
            Self::Docs => answer::of_type("text/html; charset=utf-8", PAGE.as_str()),
        };
        let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'");
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        Ok(response)
    }
}

fn page(document: &Value) -> String {
    let mut rows = String::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let text = |name: &str| escaped(operation[name].as_str().unwrap_or_default());
            rows.push_str(&format!(
                "<tr id=\"{}\"><td><code>{} {}</code></td><td>{}</td><td>{}</td></tr>\n",
                text("operationId"),
                method.to_ascii_uppercase(),
                escaped(path),
                text("x-required-role"),
                text("summary")
            ));
        }
    }
    let codes: String = Code::ALL.iter().map(|code| format!("<li id=\"{code}\"><code>{code}</code></li>\n")).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Bailiwick management API</title></head>\n<body>\n\
        <h1>Bailiwick management API</h1>\n<p>{}</p>\n<p>The whole description, for programs: <a href=\"{DOCUMENT_PATH}\">{DOCUMENT_PATH}</a> (OpenAPI 3.1).</p>\n\
        <h2>Operations</h2>\n<table>\n<thead><tr><th>Operation</th><th>Requires</th><th>What it does</th></tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n\
        <h2>Codes of refusals</h2>\n<ul>\n{codes}</ul>\n</body>\n</html>\n",
        escaped(document["info"]["description"].as_str().unwrap_or_default())
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
