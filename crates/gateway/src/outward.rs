//! One bounded request to an address that another party named: where it goes, and how long it may take. Whether the address may be dialled is
//! decided by the guarded way out, at every connection.

use std::time::Duration;

use bailiwick_model::Timestamp;
use bailiwick_modules::egress::{BaseUrl, HttpAnswer, HttpClient, HttpFault, HttpRequest};
use bailiwick_modules::{CallContext, Cancel};
use url::Url;

/// An address as origin and request target. The path keeps its last slash: `/token/` and `/token` are two places.
///
/// # Errors
/// The rule that is broken, to be put behind `the address`.
pub(crate) fn place(address: &str) -> Result<(BaseUrl, String), &'static str> {
    let (before, query) = address.split_once('?').map_or((address, None), |(before, query)| (before, Some(query)));
    let base = BaseUrl::parse(before)?;
    let url = Url::parse(before).map_err(|_| "is not an address like `https://host/path`")?;
    let target = query.map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    Ok((base, target))
}

/// Sends `request`, and waits at most `patience`. `purpose` names the request in logs.
///
/// # Errors
/// [`HttpFault`]; the answer's status is not looked at.
pub(crate) async fn send(client: &HttpClient, request: HttpRequest, patience: Duration, purpose: &str) -> Result<HttpAnswer, HttpFault> {
    // The runtime's clock, which tests hold; the wall clock is of no use to a request.
    let deadline = (tokio::time::Instant::now() + patience).into_std();
    let cancel = Cancel::new();
    let context = CallContext { deadline, cancel: &cancel, call: purpose, now: Timestamp::from_micros(0) };
    client.send(request, context).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_once() {
        for (address, origin, target) in [
            ("https://id.example.com/keys", "https://id.example.com", "/keys"),
            ("https://id.example.com/keys/", "https://id.example.com", "/keys/"),
            ("https://ID.example.com", "https://id.example.com", "/"),
            ("https://id.example.com:8443/a/b?p=x&q=%20", "https://id.example.com:8443", "/a/b?p=x&q=%20"),
        ] {
            let (base, found) = place(address).unwrap();
            assert_eq!((base.origin().as_str(), found.as_str()), (origin, target));
        }
        for address in ["", "keys", "file:///etc/passwd", "https://u@h/", "https://h/#f", "https://h\\@g/", "javascript:1"] {
            assert!(place(address).is_err(), "{address}");
        }
    }
}
