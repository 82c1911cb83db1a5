//! Whole lists from the store's pages. Bounded: a list that does not end is cut, not followed for ever.

use bailiwick_model::OrgId;
use bailiwick_store::{PAGE_ROWS_MAX, PlatformScope, Store};

use crate::exit::Failure;

/// Pages that one list is read to.
const PAGES_MAX: usize = 1_000;

macro_rules! all_pages {
    ($page:expr, $key:expr) => {{
        let mut all = Vec::new();
        let mut after = String::new();
        for _ in 0..PAGES_MAX {
            let page = $page(after.as_str()).await?;
            let full = i64::try_from(page.len()).is_ok_and(|rows| rows >= PAGE_ROWS_MAX);
            if let Some(last) = page.last() {
                after = $key(last);
            }
            all.extend(page);
            if !full {
                break;
            }
        }
        Ok(all)
    }};
}

/// The one organisation asked for, or all of them.
pub(super) async fn orgs(store: &Store, scope: &PlatformScope, only: Option<OrgId>) -> Result<Vec<OrgId>, Failure> {
    if let Some(org) = only {
        return Ok(vec![org]);
    }
    let all: Result<Vec<_>, Failure> =
        all_pages!(async |after: &str| store.orgs().list(scope, after).await, |last: &bailiwick_store::Organisation| last.org.to_string());
    Ok(all?.into_iter().map(|organisation| organisation.org).collect())
}
