//! What the doctor found at a registered server, in words (governance reference 6.4).

use bailiwick_model::registered::RegistrationChoice;
use bailiwick_store::{OrgScope, RegisteredServer};

use super::{ConnectFault, Connections};
use crate::oauth::doctor::{self, Examination, Verdict};
use crate::oauth::identity::{AuthMethod, Mode, Registered, Wanted};
use crate::oauth::profiles::Profiles;

/// The walk from the server's address to the page that a person would open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// `ok`, `warn` or `fail`: the worst of all steps.
    pub verdict: &'static str,
    /// The provider whose profile was gone by.
    pub profile: Option<String>,
    /// In their order.
    pub steps: Vec<DiagnosisStep>,
    /// Those that were seen first.
    pub quirks: Vec<DiagnosisQuirk>,
    /// A client that was made and is still at the authorization server.
    pub left_behind: Option<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagnosisStep {
    /// One word.
    pub step: &'static str,
    /// `ok`, `warn` or `fail`.
    pub verdict: &'static str,
    /// What was found.
    pub text: String,
    /// What to do; empty when there is nothing to do.
    pub remedy: String,
}

/// A way in which the provider differs from what one would expect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiagnosisQuirk {
    /// One word.
    pub id: String,
    /// What is so.
    pub line: String,
    /// What to do, or what the gateway does.
    pub remedy: String,
    /// Who says so.
    pub source: String,
    /// Whether it was seen just now.
    pub seen: bool,
}

impl Connections {
    /// Walks discovery, registration and start without a person. A client is made at the authorization server only when that is allowed,
    /// and is then still there.
    ///
    /// # Errors
    /// When the rows cannot be read; what goes wrong outside is in the diagnosis.
    pub async fn doctor(&self, scope: Option<&OrgScope>, record: &RegisteredServer, may_register: bool) -> Result<Diagnosis, ConnectFault> {
        let registered = self.registered(scope, record).await?;
        let configured: Vec<String> = record.scopes.iter().map(str::to_owned).collect();
        let extra: Vec<(String, String)> =
            record.extra_auth_params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let id = record.id.to_string();
        let examination = Examination {
            server_url: record.server_url.as_str(),
            profiles: &self.0.profiles,
            profile: None,
            wanted: match record.choice {
                RegistrationChoice::Auto | RegistrationChoice::Dcr => Wanted::Auto,
                RegistrationChoice::Manual => Wanted::Only(Mode::Manual),
                RegistrationChoice::Cimd => Wanted::Only(Mode::Cimd),
            },
            registered: registered.as_ref(),
            server_id: &id,
            configured: &configured,
            extra: &extra,
            may_register,
            open_page: true,
        };
        Ok(told(doctor::examine(self.oauth(), examination, self.0.random.as_ref()).await, &self.0.profiles))
    }

    /// The client that is known already, with or without its secret.
    async fn registered(&self, scope: Option<&OrgScope>, record: &RegisteredServer) -> Result<Option<Registered>, ConnectFault> {
        let Some(issuer) = record.endpoints().issuer else { return Ok(None) };
        let clients = self.store().server_clients();
        let kept = match scope {
            Some(scope) => clients.get(scope, record.id, &issuer).await?,
            None => clients.get_any(&self.platform()?, record.id, &issuer).await?,
        };
        Ok(kept.map(|client| Registered {
            client_id: client.info.client_id.as_str().to_owned(),
            secret: client.secret,
            method: AuthMethod::parse(client.info.auth_method.as_str()),
            redirect_uri: client.info.redirect_uri,
        }))
    }
}

fn told(report: doctor::Report, profiles: &Profiles) -> Diagnosis {
    let verdict = word(report.verdict());
    let step =
        |line: doctor::Line| DiagnosisStep { step: line.step.as_str(), verdict: word(line.verdict), text: line.text, remedy: line.remedy };
    let quirk = |quirk: doctor::Applies| DiagnosisQuirk {
        id: quirk.id,
        line: quirk.line,
        remedy: quirk.remedy,
        source: quirk.source,
        seen: quirk.seen,
    };
    Diagnosis {
        verdict,
        profile: report.profile.map(|id| profiles.named(&id).map_or_else(|| id.clone(), |profile| profile.name.clone())),
        steps: report.lines.into_iter().map(step).collect(),
        quirks: report.quirks.into_iter().map(quirk).collect(),
        left_behind: report.left_behind,
    }
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "fail",
    }
}
