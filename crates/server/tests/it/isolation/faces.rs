//! Everything that an administrator of an organisation can read of it through the API, and the lists that its agents get.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;

use super::document::Operation;
use super::pool::{Kind, Values, named};
use super::wire::Wire;

/// What was asked, and what was answered.
pub(crate) type Faces = BTreeMap<String, String>;
/// Pages of a list.
const PAGES_MAX: usize = 100;

/// Reads whatever there is to be read with these values for the parameters, and with those that turn up. `values` has them all then.
pub(crate) async fn read(wire: &mut Wire, key: &str, org: &str, operations: &[Operation], values: &mut Values) -> Faces {
    let mut faces = Faces::new();
    loop {
        let known = faces.len();
        for operation in operations.iter().filter(|operation| operation.reads() && !operation.is_above()) {
            for target in targets(operation, org, values) {
                if !faces.contains_key(&target) {
                    walk(wire, key, operation, &target, &mut faces, values).await;
                }
            }
        }
        if faces.len() == known {
            return faces;
        }
    }
}

/// The addresses of an operation, with every value in every place.
fn targets(operation: &Operation, org: &str, values: &Values) -> Vec<String> {
    let mut targets = vec![operation.path.clone()];
    for (name, kind) in &operation.places {
        let own = [org.to_owned()];
        let of_kind = if *kind == Kind::Org { &own[..] } else { values.get(kind).map_or(&[][..], Vec::as_slice) };
        let filled = |target: &String, value: &String| target.replace(&format!("{{{name}}}"), &segment(value));
        targets = targets.iter().flat_map(|target| of_kind.iter().map(|value| filled(target, value)).collect::<Vec<_>>()).collect();
    }
    targets
}

/// All pages of a list, or the one answer.
async fn walk(wire: &mut Wire, key: &str, operation: &Operation, target: &str, faces: &mut Faces, values: &mut Values) {
    let mut query = if operation.is_list() { "?limit=7".to_owned() } else { String::new() };
    for page in 0..PAGES_MAX {
        let answer = get(wire, key, &format!("{target}{query}")).await;
        named(&operation.path, &answer, &mut |kind, value| note(values, kind, value));
        let next = answer["next_cursor"].as_str().map(str::to_owned);
        // A list stands under its address alone, so that whoever asks again finds it.
        let name = if page == 0 { target.to_owned() } else { format!("{target}{query}") };
        faces.insert(name, canonical(answer));
        let Some(next) = next else { return };
        query = format!("?limit=7&cursor={next}");
    }
    panic!("{target} does not end");
}

async fn get(wire: &mut Wire, key: &str, target: &str) -> Value {
    let request = wire.request(Some(key)).method("GET").uri(target).body(Full::new(Bytes::new())).unwrap();
    let told = wire.send(request).await;
    assert!(told.status < 500, "{target}: {}", told.status);
    told.json()
}

/// Asks for one of them again.
pub(crate) async fn again(wire: &mut Wire, key: &str, name: &str, is_list: bool) -> String {
    let query = if is_list && !name.contains('?') { "?limit=7" } else { "" };
    canonical(get(wire, key, &format!("{name}{query}")).await)
}

/// When a key was last used is written while it is used, also by whoever reads this.
fn canonical(mut answer: Value) -> String {
    without(&mut answer, "last_used_at");
    answer.to_string()
}

fn without(value: &mut Value, name: &str) {
    match value {
        Value::Object(members) => {
            members.remove(name);
            members.values_mut().for_each(|member| without(member, name));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| without(item, name)),
        _ => {}
    }
}

fn note(values: &mut Values, kind: Kind, value: &str) {
    let of_kind = values.entry(kind).or_default();
    if !of_kind.iter().any(|known| known == value) {
        of_kind.push(value.to_owned());
    }
}

/// A text as one segment of an address.
pub(crate) fn segment(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
    text.bytes().map(|byte| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
