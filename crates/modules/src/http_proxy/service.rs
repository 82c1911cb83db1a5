//! One opened service: what may be asked of it, and asking.

use bailiwick_model::Code;
use bailiwick_model::glob::Glob;
use http::{HeaderMap, Method};
use serde_json::json;

use super::path::ServicePath;
use super::query::Params;
use crate::context::CallContext;
use crate::egress::{Followed, HttpAnswer, HttpClient, HttpRequest, follow, location};
use crate::fault::ToolFault;
use crate::service::{success, without_credential};
use crate::withheld::Withheld;

/// Longest request target; more does not fit into the heads that servers read.
const TARGET_BYTES_MAX: usize = 32 << 10;

/// What an agent can do where a service is asked without a credential.
const NO_CREDENTIAL: &str = "ask the operator to name one under `credential_key` of the service";

/// A service the agent may call.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) client: HttpClient,
    /// Sent with every request to the service's own origin; holds the credential.
    pub(super) headers: HeaderMap,
    /// `None` = all.
    pub(super) methods: Option<Vec<Method>>,
    /// `None` = all.
    pub(super) paths: Option<Vec<Glob>>,
    pub(super) follow_redirects: bool,
    /// Whether a credential is sent.
    pub(super) has_credential: bool,
    pub(super) withheld: Withheld,
}

impl Service {
    /// The request for `path` with `params`, when the agent may make it.
    ///
    /// # Errors
    /// `scope_violation` for a method or path that is not opened; otherwise as [`ServicePath::parse`].
    pub(super) fn request(&self, method: Method, path: &str, params: &Params) -> Result<HttpRequest, ToolFault> {
        if self.methods.as_ref().is_some_and(|methods| !methods.contains(&method)) {
            let message = format!("the service `{}` is not opened for {method}", self.name);
            return Err(ToolFault::new(Code::ScopeViolation, message, "ask the operator to open the method"));
        }
        let path = ServicePath::parse(path)?;
        if !self.opens(&path) {
            let message = format!("the path is not among those opened at the service `{}`", self.name);
            return Err(ToolFault::new(Code::ScopeViolation, message, "use another path, or ask the operator to open it"));
        }
        let target = self.target(&path, &params.encoded());
        if target.len() > TARGET_BYTES_MAX {
            let message = format!("path and query are longer than {TARGET_BYTES_MAX} bytes");
            return Err(ToolFault::limit("target_bytes", TARGET_BYTES_MAX as u64, message, "send less in `params`"));
        }
        let mut request = HttpRequest::new(method, target);
        request.headers = self.headers.clone();
        Ok(request)
    }

    fn opens(&self, path: &ServicePath) -> bool {
        self.paths.as_ref().is_none_or(|globs| path.is_allowed(globs))
    }

    fn target(&self, path: &ServicePath, more: &str) -> String {
        let mut target = self.client.base().at(&path.target);
        if target.is_empty() {
            target.push('/');
        }
        let parts: Vec<&str> = path.query.as_deref().into_iter().chain([more]).filter(|part| !part.is_empty()).collect();
        if !parts.is_empty() {
            target.push('?');
            target.push_str(&parts.join("&"));
        }
        target
    }

    /// Sends `request`; a refusing answer becomes a fault.
    pub(super) async fn send(&self, request: HttpRequest, context: CallContext<'_>) -> Result<HttpAnswer, ToolFault> {
        let first = request.target.clone();
        let done = if self.follow_redirects {
            follow(&self.client, request, &|target| self.own_target(target), context).await
        } else {
            self.client.send(request, context).await.map(|answer| Followed { answer, at: Some(first) })
        };
        let Followed { answer, at } = done.map_err(|fault| self.cleaned(fault.into()))?;
        let redirect = answer.status.is_redirection().then(|| self.shown_location(&answer, at.as_deref()));
        success(self.withheld.clean_refusal(answer)).map_err(|fault| {
            let mut fault = if self.has_credential { fault } else { without_credential(fault, NO_CREDENTIAL) };
            if let (Some(shown), Some(details)) = (redirect, fault.details.as_mut()) {
                *details = json!({ "status": details["status"] });
                if let Some(shown) = shown {
                    details["location"] = shown.into();
                }
            }
            fault
        })
    }

    /// The cause of a fault may repeat what was sent or answered.
    fn cleaned(&self, mut fault: ToolFault) -> ToolFault {
        fault.cause = fault.cause.map(|cause| self.withheld.clean(&cause));
        fault
    }

    /// The target to request when a redirect leads to `target` on the service's own origin: only where the agent may go itself.
    fn own_target(&self, target: &str) -> Option<String> {
        let path = ServicePath::parse(self.beneath(target)?).ok()?;
        self.opens(&path).then(|| self.target(&path, ""))
    }

    /// Where a redirect leads, as the agent would write it: a path beneath the service, without a query.
    fn shown_location(&self, answer: &HttpAnswer, at: Option<&str>) -> Option<String> {
        let (base, target) = location(self.client.base(), at?, answer)?;
        if !base.same_origin(self.client.base()) {
            return None;
        }
        let path = self.beneath(&target)?.split('?').next()?;
        ServicePath::parse(path).ok().filter(|path| self.opens(path))?;
        Some(self.withheld.clean(path))
    }

    fn beneath<'a>(&self, target: &'a str) -> Option<&'a str> {
        let rest = target.strip_prefix(self.client.base().path.as_str())?;
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(rest)
    }
}
