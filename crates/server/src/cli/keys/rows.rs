//! `bailiwick keys status`: which key seals how much, and whether it opens.

use std::collections::BTreeMap;

use bailiwick_model::OrgId;
use bailiwick_store::{Opened, PlatformScope, Store};
use serde::Serialize;

use super::super::args::Form;
use super::super::context::Context;
use super::super::output;
use crate::exit::{Exit, Failure};

/// Pages of organisations that are read at most.
const ORG_PAGES_MAX: usize = 10_000;

/// Everything about the keys, as programs read it.
#[derive(Serialize)]
struct Status {
    /// The configured root key; null without one.
    root_key: Option<String>,
    keys: Vec<Key>,
    /// With `--verify`: values that opened, and the names of those that did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    opened: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<Vec<String>>,
}

/// One version of one key.
#[derive(Serialize)]
struct Key {
    /// Null for the platform's.
    org: Option<OrgId>,
    version: i64,
    /// Whether it seals what is new.
    newest: bool,
    root_keys: Vec<String>,
    rows: i64,
    tables: BTreeMap<&'static str, i64>,
}

pub(super) async fn status(context: &Context, org: Option<OrgId>, verify: bool) -> Result<(), Failure> {
    let (store, scope) = context.store(&context.settings()?).await?;
    let status = gather(&store, &scope, org, verify).await;
    store.close().await;
    tell(context.form, &status?)
}

async fn gather(store: &Store, scope: &PlatformScope, org: Option<OrgId>, verify: bool) -> Result<Status, Failure> {
    let mut status = Status { root_key: store.root_key_id(), keys: Vec::new(), opened: None, unreadable: None };
    let orgs = match org {
        Some(org) => {
            store.orgs().get(&scope.within(&org)).await?;
            vec![org]
        }
        None => {
            status.keys = platform_keys(store, scope).await?;
            every_org(store, scope).await?
        }
    };
    let mut opened = Opened::default();
    for org in orgs {
        status.keys.extend(org_keys(store, scope, &org).await?);
        if verify {
            let Opened { opened: values, unreadable } = store.rotation().open_all(&scope.within(&org)).await?;
            opened.opened += values;
            opened.unreadable.extend(unreadable.into_iter().map(|name| format!("{name} of `{org}`")));
        }
    }
    if verify {
        (status.opened, status.unreadable) = (Some(opened.opened), Some(opened.unreadable));
    }
    Ok(status)
}

async fn every_org(store: &Store, scope: &PlatformScope) -> Result<Vec<OrgId>, Failure> {
    let mut orgs: Vec<OrgId> = Vec::new();
    for _ in 0..ORG_PAGES_MAX {
        let page = store.orgs().list(scope, orgs.last().map_or("", OrgId::as_str)).await?;
        if page.is_empty() {
            break;
        }
        orgs.extend(page.into_iter().map(|organisation| organisation.org));
    }
    Ok(orgs)
}

async fn platform_keys(store: &Store, scope: &PlatformScope) -> Result<Vec<Key>, Failure> {
    let keys = store.rotation().platform_keys(scope).await?;
    let newest = keys.last().map(|key| key.version);
    let shown = keys.into_iter().map(|key| Key {
        org: None,
        version: key.version,
        newest: Some(key.version) == newest,
        root_keys: key.root_keys,
        rows: key.rows,
        tables: BTreeMap::from([("platform_secrets", key.rows)]),
    });
    Ok(shown.collect())
}

async fn org_keys(store: &Store, scope: &PlatformScope, org: &OrgId) -> Result<Vec<Key>, Failure> {
    let keys = store.rotation().org_keys(&scope.within(org)).await?;
    let newest = keys.last().map(|key| key.version);
    let shown = keys.into_iter().map(|key| Key {
        org: Some(org.clone()),
        version: key.version,
        newest: Some(key.version) == newest,
        rows: key.rows(),
        root_keys: key.root_keys,
        tables: key.tables,
    });
    Ok(shown.collect())
}

fn tell(form: Form, status: &Status) -> Result<(), Failure> {
    if form == Form::Json {
        output::print_json(status)?;
    } else {
        output::print_rows(form, &status.keys, ["ORG", "VERSION", "ROWS", "SEALS", "ROOT KEY"], |key| {
            let org = key.org.as_ref().map_or_else(|| "(platform)".to_owned(), OrgId::to_string);
            let seals = if key.newest { "what is new" } else { "" };
            [org, key.version.to_string(), key.rows.to_string(), seals.to_owned(), key.root_keys.join(", ")]
        })?;
    }
    let Some(unreadable) = &status.unreadable else { return Ok(()) };
    if form == Form::Text && unreadable.is_empty() {
        eprintln!("All {} sealed values open.", status.opened.unwrap_or_default());
    }
    if unreadable.is_empty() {
        return Ok(());
    }
    let message = format!("{} sealed values do not open: {}", unreadable.len(), unreadable.join(", "));
    Err(Failure::new(Exit::Failed, message).hint("set them again; if there are many, look whether the root key is the right one"))
}
