//! What the modules that only send something have in common: one writing tool, `send`, which answers `true`.

use serde_json::{Value, json};

use crate::context::CallContext;
use crate::egress::{HttpClient, HttpRequest};
use crate::fault::ToolFault;
use crate::module::{Pending, ToolModule};
use crate::output::ToolOutput;
use crate::schema;
use crate::service::success;
use crate::spec::{Access, ContentTrust, Hints, ToolSpec};
use crate::withheld::Withheld;

/// The tools of such a kind.
pub(crate) const TOOLS: [(&str, Access); 1] = [("send", Access::Write)];
/// Reference, tool modules section 9.
const HINTS: Hints = Hints { destructive: false, idempotent: false, open_world: true, content: ContentTrust::Trusted };

/// A place messages are sent to.
pub(crate) trait Notifier: Send + Sync + 'static {
    /// One message, arguments read and found in order.
    type Message: Send;

    /// How `send` is offered.
    fn spec() -> ToolSpec;

    /// Reads and checks the arguments without any effect.
    fn prepare(&self, arguments: &str) -> Result<Self::Message, ToolFault>;

    /// Sends the message.
    fn deliver<'a>(&'a self, message: Self::Message, context: CallContext<'a>) -> Pending<'a, Result<(), ToolFault>>;
}

/// The module over a notifier.
pub(crate) struct SendModule<N> {
    pub(crate) notifier: N,
    pub(crate) mode: Option<Access>,
}

impl<N: Notifier> SendModule<N> {
    fn prepare(&self, tool: &str, arguments: &str) -> Result<N::Message, ToolFault> {
        let offered = TOOLS.iter().any(|(name, access)| *name == tool && access.offered_in(self.mode));
        if offered { self.notifier.prepare(arguments) } else { Err(ToolFault::no_tool()) }
    }
}

impl<N: Notifier> ToolModule for SendModule<N> {
    fn tools(&self) -> Vec<ToolSpec> {
        TOOLS.iter().filter(|(_, access)| access.offered_in(self.mode)).map(|_| N::spec()).collect()
    }

    fn confine(&self, tool: &str, arguments: &str) -> Result<(), ToolFault> {
        self.prepare(tool, arguments).map(drop)
    }

    fn call<'a>(&'a self, tool: &'a str, arguments: &'a str, context: CallContext<'a>) -> Pending<'a, Result<ToolOutput, ToolFault>> {
        Box::pin(async move {
            let message = self.prepare(tool, arguments)?;
            context.check()?;
            self.notifier.deliver(message, context).await?;
            Ok(ToolOutput::done())
        })
    }
}

/// The definition of `send`.
pub(crate) fn spec(title: &'static str, description: &'static str, properties: &[(&str, Value)], required: &[&str]) -> ToolSpec {
    let [(name, access)] = TOOLS;
    ToolSpec {
        name: name.into(),
        title: title.into(),
        description: description.into(),
        input_schema: schema::object(properties, required),
        output_schema: Some(schema::wrapped(schema::property("boolean", "Always true: the service has taken the message.", json!({})))),
        access,
        hints: HINTS,
    }
}

/// Sends one request to a service that only confirms. What is withheld does not come back in its refusal.
pub(crate) async fn confirmed(
    client: &HttpClient,
    withheld: &Withheld,
    request: HttpRequest,
    context: CallContext<'_>,
) -> Result<(), ToolFault> {
    success(withheld.clean_refusal(client.send(request, context).await?)).map(drop)
}
