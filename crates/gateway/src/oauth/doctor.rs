//! Everything about a connection that can be tried without a person, told in words: what was asked, what came back, what to do, and which of
//! the known quirks apply.
//!
//! It leaves nothing behind, unless it is told to register: then the client stays at the authorization server, and the report says so.

mod probe;
mod seen;

use bailiwick_model::time::Random;

use super::Settings;
use super::authorize::{self, Start};
use super::discover::{self, Discovered, Finding, Query};
use super::fault::{OAuthFault, Step};
use super::identity::{self, Choice, Client, Mode, Proof, Registered, Wanted};
use super::profiles::{Profile, Profiles};

pub(crate) use probe::{Probe, probe};

/// What is examined, and how far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Examination<'e> {
    pub(crate) server_url: &'e str,
    pub(crate) profiles: &'e Profiles,
    /// The one to go by; `None` for the one of the server's host.
    pub(crate) profile: Option<&'e Profile>,
    pub(crate) wanted: Wanted,
    pub(crate) registered: Option<&'e Registered>,
    pub(crate) server_id: &'e str,
    /// As an operator set them.
    pub(crate) configured: &'e [String],
    pub(crate) extra: &'e [(String, String)],
    /// Whether a client may be made at the authorization server, and left there.
    pub(crate) may_register: bool,
    /// Whether the authorization page is asked for, without a person: some refuse before anybody has to sign in.
    pub(crate) open_page: bool,
}

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ok,
    /// It works, or may; somebody should look.
    Warn,
    /// It does not work.
    Fail,
}

/// One line of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) step: Step,
    pub(crate) verdict: Verdict,
    pub(crate) text: String,
    /// Empty when there is nothing to do.
    pub(crate) remedy: String,
}

/// A quirk that applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applies {
    pub(crate) id: String,
    pub(crate) line: String,
    pub(crate) remedy: String,
    /// Who says so: a source of the profile, or `seen`.
    pub(crate) source: String,
    /// Whether it was seen just now.
    pub(crate) seen: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    /// The id of the profile that was gone by.
    pub(crate) profile: Option<String>,
    /// In the order of the steps.
    pub(crate) lines: Vec<Line>,
    /// Every question that was asked for metadata.
    pub(crate) findings: Vec<Finding>,
    /// Those that were seen first.
    pub(crate) quirks: Vec<Applies>,
    /// The id of a client that was made and is still there.
    pub(crate) left_behind: Option<String>,
}

impl Report {
    /// The worst of all steps.
    pub(crate) fn verdict(&self) -> Verdict {
        let has = |verdict| self.lines.iter().any(|line| line.verdict == verdict);
        if has(Verdict::Fail) {
            Verdict::Fail
        } else if has(Verdict::Warn) {
            Verdict::Warn
        } else {
            Verdict::Ok
        }
    }

    fn say(&mut self, step: Step, verdict: Verdict, text: impl Into<String>, remedy: impl Into<String>) {
        self.lines.push(Line { step, verdict, text: text.into(), remedy: remedy.into() });
    }

    fn fail(&mut self, fault: &OAuthFault) {
        self.say(fault.step, Verdict::Fail, fault.message.clone(), fault.remedy.clone());
    }

    /// Notes a quirk; one that the profile knows as well is told once.
    fn quirk(&mut self, profiles: &Profiles, id: &str, source: &str, seen: bool) {
        if let Some(known) = self.quirks.iter_mut().find(|known| known.id == id) {
            source.clone_into(&mut known.source);
            return;
        }
        if let Some(quirk) = profiles.quirk(id) {
            let (id, line, remedy) = (quirk.id.clone(), quirk.line.clone(), quirk.remedy.clone());
            self.quirks.push(Applies { id, line, remedy, source: source.to_owned(), seen });
        }
    }
}

/// Walks the whole way that needs no person. Never fails: what goes wrong is in the report.
pub(crate) async fn examine(settings: &Settings, examination: Examination<'_>, random: &dyn Random) -> Report {
    let profile = examination.profile.or_else(|| examination.profiles.of(examination.server_url));
    let mut walk = Walk { settings, examination, profile, report: Report::default() };
    walk.report.profile = profile.map(|profile| profile.id.clone());
    if let Err(fault) = Box::pin(walk.run(random)).await {
        walk.report.fail(&fault);
    }
    for quirk in profile.into_iter().flat_map(|profile| &profile.quirks) {
        walk.report.quirk(examination.profiles, &quirk.id, &quirk.source, false);
    }
    walk.report
}

struct Walk<'w> {
    settings: &'w Settings,
    examination: Examination<'w>,
    profile: Option<&'w Profile>,
    report: Report,
}

impl Walk<'_> {
    async fn run(&mut self, random: &dyn Random) -> Result<(), OAuthFault> {
        let probe = probe(self.settings, self.examination.server_url).await?;
        self.tell_probe(&probe);
        if probe.is_open() {
            return Ok(());
        }
        let query = Query {
            server_url: self.examination.server_url,
            challenge: probe.challenge.as_ref(),
            preferred_issuer: None,
            known: self.profile.and_then(|profile| profile.known.as_ref()),
        };
        let found = discover::discover(self.settings, query, &mut self.report.findings).await;
        let discovered = found?;
        self.tell_discovered(&discovered);
        let described = self.is_described();
        for id in seen::in_metadata(self.settings, self.examination.server_url, &probe, &discovered, described).await {
            self.see(id);
        }
        self.tell_pkce(&discovered);
        let client = self.identity(&discovered).await?;
        self.authorization(&discovered, &client, &probe, random).await
    }

    fn see(&mut self, id: &str) {
        self.report.quirk(self.examination.profiles, id, "seen", true);
    }

    fn is_described(&self) -> bool {
        self.report.findings.iter().any(|finding| finding.step == Step::ResourceMetadata && finding.useful)
    }

    fn tell_probe(&mut self, probe: &Probe) {
        let (verdict, text, remedy) = probe.words();
        self.report.say(Step::Challenge, verdict, text, remedy);
    }

    fn tell_discovered(&mut self, discovered: &Discovered) {
        let Discovered { resource, issuer, .. } = discovered;
        if self.is_described() {
            self.report.say(Step::ResourceMetadata, Verdict::Ok, format!("the server is the resource {resource}"), "");
        } else {
            let remedy = "check that the authorization server below is the right one";
            self.report.say(Step::ResourceMetadata, Verdict::Warn, "the server does not describe itself (RFC 9728)", remedy);
        }
        match discovered.source {
            discover::Source::Metadata => {
                self.report.say(Step::IssuerMetadata, Verdict::Ok, format!("the authorization server is {issuer}"), "");
            }
            discover::Source::Known => {
                let text = format!("{issuer} has no metadata; endpoints are as written down");
                self.report.say(Step::IssuerMetadata, Verdict::Warn, text, "check the endpoints");
            }
            discover::Source::Defaults => {
                let text = format!("{issuer} has no metadata; endpoints are those of revision 2025-03-26");
                self.report.say(
                    Step::IssuerMetadata,
                    Verdict::Warn,
                    text,
                    "check that `/authorize` and `/token` are there, or give endpoints by hand",
                );
            }
        }
    }

    fn tell_pkce(&mut self, discovered: &Discovered) {
        if let Err(fault) = authorize::check_pkce(discovered) {
            self.report.fail(&fault);
        }
    }

    /// As whom a connection would be made. Without leave to register, one that would be stands in for it.
    async fn identity(&mut self, discovered: &Discovered) -> Result<Client, OAuthFault> {
        let Examination { wanted, registered, server_id, may_register, .. } = self.examination;
        let choice = Choice { wanted, registered, profile: self.profile, server_id };
        let mode = identity::choose(self.settings, discovered, choice)?;
        if mode == Mode::Dcr && !may_register {
            let text = "the authorization server registers clients by request; none was made";
            self.report.say(Step::Registration, Verdict::Ok, text, "");
            return Ok(self.stand_in(discovered));
        }
        let client = identity::obtain(self.settings, discovered, choice).await?;
        match mode {
            Mode::Manual => self.report.say(Step::Registration, Verdict::Ok, "the client that a person registered is used", ""),
            Mode::Cimd => self.report.say(Step::Registration, Verdict::Ok, "the gateway's client metadata document is the client id", ""),
            Mode::Dcr => self.left_behind(&client),
        }
        Ok(client)
    }

    fn left_behind(&mut self, client: &Client) {
        let shown = super::fault::foreign(&client.client_id);
        let text = format!("a client was registered, and stays at {}: `{shown}`", client.issuer);
        self.report.say(Step::Registration, Verdict::Warn, text, "remove it there if the server is not connected");
        self.report.left_behind = Some(shown);
        if client.secret_expires_at.is_some() {
            self.see("secrets_expire");
        }
    }

    fn stand_in(&self, discovered: &Discovered) -> Client {
        Client {
            client_id: "client-to-be-registered".to_owned(),
            proof: Proof::None,
            secret_expires_at: None,
            mode: Mode::Dcr,
            issuer: discovered.issuer.clone(),
            redirect_uri: self.settings.redirect_uri_of(self.examination.server_id),
        }
    }

    async fn authorization(
        &mut self,
        discovered: &Discovered,
        client: &Client,
        probe: &Probe,
        random: &dyn Random,
    ) -> Result<(), OAuthFault> {
        let challenged = probe.challenge.as_ref().and_then(|challenge| challenge.scopes.as_deref());
        let Examination { configured, extra, .. } = self.examination;
        let start = Start { discovered, client, configured, challenged, step_up: None, profile: self.profile, extra };
        let started = match authorize::start(start, random) {
            Ok(started) => started,
            // Told already.
            Err(fault) if fault.kind == super::FaultKind::PkceMissing => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let scopes = if started.scopes.is_empty() { "no scopes".to_owned() } else { format!("the scopes {}", started.scopes.join(" ")) };
        let text = format!("a person would be sent to {} with {scopes}", discovered.endpoints.authorization.shown());
        self.report.say(Step::Authorization, Verdict::Ok, text, "");
        if self.examination.open_page {
            let page = probe::page(self.settings, discovered, &started, client).await;
            if page.rejects_scope {
                self.see("scope_rejected");
            }
            self.report.lines.push(page.line);
        }
        Ok(())
    }
}
