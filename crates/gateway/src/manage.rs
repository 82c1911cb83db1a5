//! The door of the management API: the same rules for Host, Origin, size, time and credentials as at the MCP endpoint.

use std::pin::Pin;

use bailiwick_model::OrgId;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::Body;

use bailiwick_store::Scope;

use crate::body::AnswerBody;
use crate::call::authenticate;
use crate::call::receive::{self, Received};
use crate::fault::HttpFault;
use crate::gateway::Gateway;
use crate::operations::{LiveTools, Operations};

/// Largest body of a request: an instruction of 256 KiB in its longest spelling.
pub const MANAGE_BODY_BYTES_MAX: usize = 2 << 20;

/// A request whose sender is known. Its body has not been read.
pub struct Admitted<B> {
    received: Received<B>,
    scope: Scope,
}

/// Why a request goes no further.
#[derive(Debug)]
pub struct Denied {
    /// The status.
    pub status: StatusCode,
    /// What happened.
    pub message: String,
    /// What would help.
    pub remedy: &'static str,
    /// `WWW-Authenticate`, `Retry-After` and the like.
    pub headers: Box<HeaderMap>,
}

impl From<HttpFault> for Denied {
    fn from(fault: HttpFault) -> Self {
        let (status, message, remedy) = (fault.status(), fault.message().to_owned(), fault.remedy());
        let response: Response<AnswerBody> = fault.into_response();
        let mut headers = Box::new(response.headers().clone());
        headers.remove(http::header::CONTENT_TYPE);
        Self { status, message, remedy, headers }
    }
}

impl LiveTools for Gateway {
    fn missing<'a>(
        &'a self,
        org: &'a OrgId,
        caller: Option<&'a Scope>,
        everybodys: bool,
        mut names: Vec<String>,
    ) -> Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + 'a>> {
        Box::pin(async move {
            let mut known = if everybodys { self.agents().open_in(org) } else { Vec::new() };
            if let Some(scope) = caller.filter(|scope| scope.org() == org) {
                // Who has no manifest has no tools; that is no fault of the text.
                known.extend(self.agents().get(scope).await);
            }
            if known.is_empty() {
                return None;
            }
            for bailiwick in known {
                let view = bailiwick.view(&None).await;
                names.retain(|name| view.tool(name).is_none());
            }
            Some(names)
        })
    }
}

impl Gateway {
    /// What people administer; `None` where nobody is told apart (`auth: none`, or a single agent's token): there is nothing to manage
    /// then, and nobody who could.
    #[must_use]
    pub fn operations(&self) -> Option<Operations> {
        if self.open_agent().is_some() || self.single().is_some() {
            return None;
        }
        Some(self.make_operations())
    }

    /// Admits a request for what everybody may see: Host and Origin only.
    ///
    /// # Errors
    /// As the MCP endpoint refuses.
    pub fn admit_anybody<B>(&self, request: &http::Request<B>) -> Result<(), Denied> {
        self.host_rules().check(request.headers(), request.uri()).map_err(|refusal| HttpFault::from(refusal).into())
    }

    /// Admits a request to the management API: Host and Origin first, then exactly one credential.
    ///
    /// # Errors
    /// As the MCP endpoint refuses.
    pub async fn admit<B>(&self, request: http::Request<B>) -> Result<Admitted<B>, Denied>
    where
        B: Body<Data = Bytes> + Send,
    {
        if self.is_stopping() {
            return Err(HttpFault::unavailable("the gateway is stopping").into());
        }
        let path = request.uri().path().to_owned();
        let mut received = receive::http(self.host_rules(), self.limits(), request)?;
        received.limit_body(MANAGE_BODY_BYTES_MAX);
        match authenticate::manager(self, received.headers(), (&path, received.query())).await {
            Ok(scope) => Ok(Admitted { received, scope }),
            Err(fault) => {
                self.note_auth_failure(&fault);
                Err(fault.into())
            }
        }
    }
}

impl<B> Admitted<B> {
    /// Who sent it.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.received.headers()
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &Method {
        self.received.method()
    }
}

impl<B: Body<Data = Bytes> + Send> Admitted<B> {
    /// Reads its body, which must be JSON, within the limits of size and time.
    ///
    /// # Errors
    /// 408, 413, 415.
    pub async fn read(self) -> Result<Bytes, Denied> {
        let (_, body) = self.received.read().await?;
        Ok(body)
    }
}
