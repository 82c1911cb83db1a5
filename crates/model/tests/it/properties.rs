//! What holds for every text and every name.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_model::config::Config;
use bailiwick_model::document::Document;
use bailiwick_model::name::{
    NAME_CHARS_MAX, NAME_CHARS_MIN, ServerName, ToolName, folded, module_tool_name, proxy_tool_name, served_name, served_names,
    split_served,
};
use bailiwick_model::{Mistake, template};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::catalog;

fn server() -> impl Strategy<Value = ServerName> {
    "[a-zA-Z]([a-z0-9-]|_[a-z0-9]){0,15}".prop_filter_map("server name", |text| ServerName::parse(&text).ok())
}

/// Names that often become equal, long ones, and anything.
fn tool() -> impl Strategy<Value = String> {
    prop_oneof!["[aA._/-]{0,4}", "[a-c_.]{40,128}", "\\PC{0,40}", "[a-z_]{1,30}"]
}

/// Lines of manifests and configurations, good and bad, which are put together at random.
const LINES: &[&str] = &[
    "agent_type: a",
    "agent_type: [1]",
    "modules:",
    "  docs:",
    "    type: filesystem",
    "    mode: read",
    "    moed: read",
    "    config:",
    "      base_path: ${BASE}",
    "      base_path: ${NOPE}",
    "      url: http://h/${secret:X}",
    "    config: {url: 1, command: x, headers: {a: b, \"a b\": c}}",
    "  q: {type: mcp_proxy, config: {command: [x]}}",
    "servers:",
    "  t: {tools: {allow: ['*'], deny: 3}}",
    "  t__x:",
    "rate_limits: {global: 1/day, per_tool: {'': 1/hour, a: b}}",
    "hitl: {mode: interactive, signing: {mode: enforce}, notify: {type: ntfy}}",
    "credentials: {source: vault, vault: {path: ../x}}",
    "argument_filters: [{name: x}, 3, {name: y, pattern: '', fields: []}]",
    "listen: 0.0.0.0:1",
    "auth: none",
    "limits: {idle_seconds: 0, connections_max: x}",
    "  x: {url: ftp://h, allow_private: [1]}",
    "database: mysql://u:p@h",
    "policy: {allow: null, deny: [\"\u{e4}\"]}",
    "a: &a [1]",
    "b: *a",
    "- x",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,200}",
        "[ a-z:\\-\\[\\]{}&*!|>'\"%@#?,\n\t0-9$]{0,200}",
        prop::collection::vec(select(LINES), 0..25).prop_map(|lines| lines.join("\n")),
    ]
}

fn check_mistakes(mistakes: &[Mistake]) -> Result<(), TestCaseError> {
    for mistake in mistakes {
        prop_assert!(mistake.place.line > 0 && mistake.place.column > 0, "{mistake}");
        prop_assert!(!mistake.message.is_empty() && !mistake.to_string().contains("hunter2"), "{mistake}");
        prop_assert!(mistake.to_string().lines().count() <= 3, "{mistake}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_a_parser_panic_and_every_mistake_has_a_place(text in text()) {
        let _ = Document::parse("f.yml", &text);
        match catalog::parse(&text) {
            Ok((_, warnings)) => check_mistakes(&warnings)?,
            Err(mistakes) => check_mistakes(mistakes.list())?,
        }
        match Config::parse("f.yml", &text, &catalog::env) {
            Ok((_, warnings)) => check_mistakes(&warnings)?,
            Err(mistakes) => check_mistakes(mistakes.list())?,
        }
    }

    #[test]
    fn a_variable_never_changes_the_structure(value in "\\PC{0,40}") {
        let env = |name: &str| (name == "V").then(|| value.clone());
        let text = "agent_type: a\ndescription: \"<${V}>\"\nmodules: {filesystem: {mode: read, config: {base_path: /x}}}\n";
        let (manifest, _) = bailiwick_model::Manifest::parse("f.yml", text, &env, &catalog::Kinds).unwrap();
        prop_assert_eq!(manifest.description, format!("<{value}>"));
    }

    #[test]
    fn served_names_are_valid_and_stable(server in server(), tool in tool(), max in 0usize..100) {
        let name = served_name(&server, &tool, max);
        prop_assert!(ToolName::parse(name.as_str()).is_ok(), "{name}");
        prop_assert!(name.as_str().len() <= max.clamp(NAME_CHARS_MIN, NAME_CHARS_MAX));
        prop_assert_eq!(split_served(name.as_str()).map(|(head, _)| head), Some(server.as_str()));
        prop_assert_eq!(&name, &served_name(&server, &tool, max));
    }

    #[test]
    fn served_names_are_injective_and_do_not_depend_on_order(
        server in server(),
        tools in prop::collection::vec(tool(), 1..12),
        max in 42usize..=64,
        start in any::<Index>(),
    ) {
        let list: Vec<&str> = tools.iter().map(String::as_str).collect();
        let names = served_names(&server, &list, max);
        let mut owner: BTreeMap<String, &str> = BTreeMap::new();
        for (name, tool) in names.iter().zip(&list) {
            prop_assert!(ToolName::parse(name.as_str()).is_ok() && name.as_str().len() <= max);
            let other = *owner.entry(folded(name.as_str())).or_insert(tool);
            prop_assert_eq!(other, *tool, "one name for two tools");
        }
        let mut turned = list.clone();
        turned.rotate_left(start.index(list.len()));
        let pairs = |tools: &[&str], names: &[ToolName]| tools.iter().zip(names).map(|(t, n)| ((*t).to_owned(), n.to_string())).collect::<BTreeSet<_>>();
        prop_assert_eq!(pairs(&list, &names), pairs(&turned, &served_names(&server, &turned, max)));
    }

    #[test]
    fn module_names_are_valid(key in "\\PC{0,40}", tool in tool(), max in 0usize..100) {
        for name in [module_tool_name(&key, &tool, max), proxy_tool_name(&key, &tool, max)] {
            prop_assert!(ToolName::parse(name.as_str()).is_ok(), "{name}");
        }
    }

    #[test]
    fn templates_never_panic_and_escaped_text_comes_back(text in "[{}a-z_.]{0,30}") {
        let _ = template::check(&text);
        let escaped = text.replace('{', "{{").replace('}', "}}");
        let (id, kind) = (bailiwick_model::AgentId::parse("a").unwrap(), bailiwick_model::AgentType::parse("b").unwrap());
        prop_assert_eq!(template::render(&escaped, &id, &kind), Ok(text));
    }
}
