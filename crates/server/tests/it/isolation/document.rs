//! The operations of the API, from the document that the program serves: what is not in it is not served.

use serde_json::Value;

use super::pool::Kind;

/// One operation.
pub(crate) struct Operation {
    /// Method and path, as tables name it.
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) role: String,
    /// The parameters of the path.
    pub(crate) places: Vec<(String, Kind)>,
    pub(crate) query: Vec<String>,
    pub(crate) headers: Vec<String>,
    /// An example of the body.
    pub(crate) body: Option<Value>,
}

impl Operation {
    /// Whether it only looks.
    pub(crate) fn reads(&self) -> bool {
        self.method == "GET"
    }

    /// Whether it is done above organisations.
    pub(crate) fn is_above(&self) -> bool {
        self.role == "platform_admin"
    }

    pub(crate) fn is_list(&self) -> bool {
        self.query.iter().any(|name| name == "cursor")
    }
}

pub(crate) fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            all.push(operation(method, path, described));
        }
    }
    all
}

fn operation(method: &str, path: &str, described: &Value) -> Operation {
    let method = method.to_ascii_uppercase();
    let parameters = described["parameters"].as_array().cloned().unwrap_or_default();
    let of = |place: &str| parameters.iter().filter(|one| one["in"] == place).map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    let body = described.get("requestBody").map(|body| body["content"]["application/json"]["example"].clone());
    Operation {
        name: format!("{method} {path}"),
        places: places(path),
        path: path.to_owned(),
        role: described["x-required-role"].as_str().unwrap().to_owned(),
        query: of("query"),
        headers: of("header"),
        body,
        method,
    }
}

fn places(path: &str) -> Vec<(String, Kind)> {
    let segments: Vec<&str> = path.split('/').collect();
    let named = segments.windows(2).filter_map(|two| Some((two[0], two[1].strip_prefix('{')?.strip_suffix('}')?)));
    named.map(|(collection, name)| (name.to_owned(), Kind::of_path(path, collection, name))).collect()
}
