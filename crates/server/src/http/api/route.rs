//! An operation without its types, as the table holds it.

use std::future::Future;
use std::pin::Pin;

use bailiwick_gateway::operations::fault::Done;
use bailiwick_gateway::operations::{Acting, Fault, Operations};
use bailiwick_model::{Code, OrgId};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::answer::Reply;
use super::decode;
use super::document::Described;
use super::envelope;
use super::operation::{Ask, Facts, Nothing, Operation};

/// Digits of a version at most.
const VERSION_DIGITS_MAX: usize = 18;

/// A version that nothing ever has.
const NO_VERSION: i64 = -1;

type Running<'a> = Pin<Box<dyn Future<Output = Done<Reply>> + Send + 'a>>;

/// One line of the table.
pub(crate) struct Route {
    pub(crate) facts: Facts,
    has_body: bool,
    check: fn(&Asked) -> Result<(), Fault>,
    run: for<'a> fn(&'a Operations, &'a Acting, Asked) -> Running<'a>,
    describe: fn() -> Described,
}

/// A request as it is about to be given to its operation: decoded, but not yet of its types.
pub(crate) struct Asked {
    path: Map<String, Value>,
    query: Map<String, Value>,
    body: Option<Bytes>,
    expected: Option<i64>,
    org: Option<OrgId>,
}

impl Asked {
    /// Decodes the parts of a request and checks each against the shapes of `route`.
    pub(crate) fn decode(
        route: &Route,
        path: Map<String, Value>,
        query: Option<&str>,
        body: Option<&Bytes>,
        headers: &HeaderMap,
    ) -> Result<Self, Fault> {
        let described = route.describe();
        let query = decode::query(query, &described.query)?;
        let expected = expected(headers, route.facts.versioned)?;
        let org = if envelope::covers(route.facts.path) { envelope::org(headers)? } else { None };
        let asked = Self { path, query, body: body.cloned(), expected, org };
        (route.check)(&asked)?;
        Ok(asked)
    }

    fn typed<O: Operation>(self) -> Result<Ask<O>, Fault> {
        let (path, query) = (decode::parameters(self.path)?, decode::parameters(self.query)?);
        Ok(Ask { path, query, body: body::<O::Body>(self.body.as_ref())?, expected: self.expected, org: self.org })
    }
}

impl Route {
    /// The line of an operation.
    pub(crate) fn of<O: Operation>() -> Self {
        Self {
            facts: O::FACTS,
            has_body: !is_nothing::<O::Body>(),
            check: |asked| {
                decode::parameters::<O::Path>(asked.path.clone())?;
                decode::parameters::<O::Query>(asked.query.clone())?;
                body::<O::Body>(asked.body.as_ref()).map(drop)
            },
            run: |operations, acting, asked| Box::pin(run::<O>(operations, acting, asked)),
            describe: Described::of::<O>,
        }
    }

    /// Whether it reads a body.
    pub(crate) fn has_body(&self) -> bool {
        self.has_body
    }

    /// Does it.
    pub(crate) async fn run(&self, operations: &Operations, acting: &Acting, asked: Asked) -> Done<Reply> {
        (self.run)(operations, acting, asked).await
    }

    /// Its shapes and its example.
    pub(crate) fn describe(&self) -> Described {
        (self.describe)()
    }
}

async fn run<O: Operation>(operations: &Operations, acting: &Acting, asked: Asked) -> Done<Reply> {
    let answer = O::run(operations, acting, asked.typed::<O>()?).await?;
    let version = O::version(&answer);
    let body = if O::FACTS.status == StatusCode::NO_CONTENT { None } else { Some(written::<O>(&answer)?) };
    Ok(Reply { status: O::FACTS.status, version, body, replayed: false })
}

fn written<O: Operation>(answer: &O::Answer) -> Done<String> {
    if envelope::covers(O::FACTS.path) { encode(&envelope::Data { data: answer }) } else { encode(answer) }
}

fn encode(answer: &impl serde::Serialize) -> Done<String> {
    let broken = |cause: serde_json::Error| {
        let fault = Fault::new(Code::Internal, "the answer cannot be written", "see the operator's log");
        Fault { cause: Some(cause.to_string().into()), ..fault }
    };
    serde_json::to_string(answer).map_err(broken)
}

fn body<T: DeserializeOwned + 'static>(body: Option<&Bytes>) -> Result<T, Fault> {
    match body {
        Some(body) => decode::body(body),
        None => decode::body(&Bytes::from_static(b"{}")),
    }
}

pub(crate) fn is_nothing<T: 'static>() -> bool {
    std::any::TypeId::of::<T>() == std::any::TypeId::of::<Nothing>()
}

/// `If-Match: "3"`, exactly one strong tag of ours. No other is the present version (RFC 9110 section 13.1.1), whatever it looks like. What
/// follows from it is decided last, when everything else would let the operation happen (section 13.2.1).
fn expected(headers: &HeaderMap, versioned: bool) -> Result<Option<i64>, Fault> {
    let mut given = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = given.next() else { return Ok(None) };
    if !versioned {
        return Err(Fault::invalid("If-Match", "this operation knows no versions"));
    }
    let text = value.to_str().ok().filter(|_| given.next().is_none());
    let digits = text.and_then(|text| text.strip_prefix('"')?.strip_suffix('"')).filter(|digits| digits.len() <= VERSION_DIGITS_MAX);
    let number = digits.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).and_then(|digits| digits.parse().ok());
    Ok(Some(number.unwrap_or(NO_VERSION)))
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;

    #[test]
    fn every_example_is_one() {
        for route in routes() {
            let described = route.describe();
            let body = route.has_body().then(|| Bytes::from(described.example_body.to_string()));
            let path = described.example_path.as_object().unwrap().clone();
            let asked = Asked::decode(&route, path, None, body.as_ref(), &HeaderMap::new());
            assert!(asked.is_ok(), "{}: {:?}", route.facts.id, asked.err());
            assert_eq!(route.has_body(), described.example_body != serde_json::json!({}), "{}", route.facts.id);
        }
    }
}
