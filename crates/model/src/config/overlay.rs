//! Environment variables over the file: each is put into the tree where its key stands, so that the same checks apply.

use std::collections::BTreeMap;

use super::env::VARIABLES;
use crate::document::{Document, Entry, Node, Origin, Place, Value};
use crate::reader::{element, member};

/// Puts every variable that is set and not empty over the document.
pub(super) fn overlay(document: &mut Document, env: &dyn Fn(&str) -> Option<String>) {
    for variable in VARIABLES {
        let Some(text) = env(variable.name).filter(|text| !text.is_empty()) else { continue };
        let place = Place::environment(variable.name);
        let value = if variable.list {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::List(items.map(|item| Node { value: Value::Text(item.to_owned()), place }).collect())
        } else {
            Value::Text(text)
        };
        put(&mut document.root, variable.path, Node { value, place });
    }
}

/// Sets the value at `path`. A value in between that is no mapping is a mistake of the file and stays, so that it is reported.
fn put(node: &mut Node, path: &str, new: Node) {
    if node.value == Value::Null {
        node.value = Value::Map(Vec::new());
    }
    let Value::Map(entries) = &mut node.value else { return };
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let index = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
        entries.push(Entry { key: key.to_owned(), key_place: new.place, node: Node { value: Value::Null, place: new.place } });
        entries.len() - 1
    });
    match rest {
        Some(rest) => put(&mut entries[index].node, rest, new),
        None => entries[index].node = new,
    }
}

/// Where every value comes from, by dotted path.
pub(super) fn origins(document: &Document) -> BTreeMap<String, Origin> {
    let mut origins = BTreeMap::new();
    collect(&document.root, "", &mut origins);
    origins
}

fn collect(node: &Node, path: &str, origins: &mut BTreeMap<String, Origin>) {
    match &node.value {
        Value::Null => {}
        Value::Map(entries) => entries.iter().for_each(|entry| collect(&entry.node, &member(path, &entry.key), origins)),
        Value::List(items) => {
            origins.insert(path.to_owned(), node.place.origin);
            items.iter().enumerate().for_each(|(index, item)| collect(item, &element(path, index), origins));
        }
        _ => {
            origins.insert(path.to_owned(), node.place.origin);
        }
    }
}
