//! What is known of single providers (governance reference 6.4): preferences and quirks, out of a data file. Everything can be set otherwise for
//! one server, and metadata always wins over endpoints that stand here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use url::Url;

use super::authorize::is_reserved;
use super::discover::KnownEndpoints;
use super::identity::{AuthMethod, Mode};
use super::scope;

/// The file in the program.
const OWN: &str = include_str!("profiles.yml");

/// All profiles, and the quirks they name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    profiles: Vec<Profile>,
    quirks: Vec<Quirk>,
}

/// What is known of one provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// One word.
    pub(crate) id: String,
    /// For people.
    pub(crate) name: String,
    /// Host names of its servers, in lower case.
    pub(crate) hosts: Vec<String>,
    /// The way of registration to take first.
    #[serde(default)]
    pub(crate) prefer: Option<Mode>,
    /// Asked for when neither operator nor server names any.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// No `scope` in the authorization request, whatever anybody names.
    #[serde(default)]
    pub(crate) omit_scope: bool,
    /// Added to the authorization request.
    #[serde(default)]
    pub(crate) extra_params: BTreeMap<String, String>,
    /// How a client proves itself there.
    #[serde(default)]
    pub(crate) auth_method: Option<AuthMethod>,
    /// For registration by hand, where there is no metadata.
    #[serde(default)]
    pub(crate) known: Option<KnownEndpoints>,
    /// What to expect.
    #[serde(default)]
    pub(crate) quirks: Vec<QuirkRef>,
}

/// A quirk of a provider, and who says so.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuirkRef {
    pub(crate) id: String,
    /// A project and thread, or `docs`.
    pub(crate) source: String,
}

/// A way in which servers differ from what one would expect.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Quirk {
    pub(crate) id: String,
    /// One line: what is so.
    pub(crate) line: String,
    /// One line: what to do, or what the gateway does.
    pub(crate) remedy: String,
}

/// The file breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProfileFault(pub(crate) String);

impl fmt::Display for ProfileFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "provider profiles: {}", self.0)
    }
}

impl Profiles {
    /// Those that come with the program.
    ///
    /// # Errors
    /// [`ProfileFault`]; a test sees to it that there is none.
    pub(crate) fn own() -> Result<Self, ProfileFault> {
        Self::read(OWN)
    }

    /// Reads a file, and holds every entry against the rules.
    ///
    /// # Errors
    /// [`ProfileFault`] with the first rule that is broken.
    pub(crate) fn read(text: &str) -> Result<Self, ProfileFault> {
        let read: Self = serde_saphyr::from_str(text).map_err(|cause| ProfileFault(cause.to_string()))?;
        read.check()?;
        Ok(read)
    }

    /// Further hosts of these providers, each with the provider's word.
    ///
    /// # Errors
    /// [`ProfileFault`] for a word that no provider has.
    pub(crate) fn with_hosts(mut self, hosts: &[(String, String)]) -> Result<Self, ProfileFault> {
        for (host, id) in hosts {
            self.profiles.iter_mut().for_each(|profile| profile.hosts.retain(|known| known != host));
            match self.profiles.iter_mut().find(|profile| profile.id == *id) {
                Some(profile) => profile.hosts.push(host.clone()),
                None => return Err(ProfileFault(format!("`connections.profiles`: no provider has the word `{id}`"))),
            }
        }
        Ok(self)
    }

    /// The profile for a server, by the host of its address.
    pub(crate) fn of(&self, server_url: &str) -> Option<&Profile> {
        let url = Url::parse(server_url).ok()?;
        let host = url.host_str()?.trim_end_matches('.');
        self.profiles.iter().find(|profile| profile.hosts.iter().any(|known| known == host))
    }

    /// The profile of this name.
    pub(crate) fn named(&self, id: &str) -> Option<&Profile> {
        self.profiles.iter().find(|profile| profile.id == id)
    }

    /// All of them.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.iter()
    }

    /// What a quirk means.
    pub(crate) fn quirk(&self, id: &str) -> Option<&Quirk> {
        self.quirks.iter().find(|quirk| quirk.id == id)
    }

    fn check(&self) -> Result<(), ProfileFault> {
        let (mut ids, mut hosts, mut quirks) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let fault = |text: String| Err(ProfileFault(text));
        for quirk in &self.quirks {
            if !quirks.insert(quirk.id.as_str()) {
                return fault(format!("the quirk `{}` is there twice", quirk.id));
            }
            if !is_line(&quirk.line) || !is_line(&quirk.remedy) {
                return fault(format!("the quirk `{}` needs a line and a remedy, each on one line", quirk.id));
            }
        }
        for profile in &self.profiles {
            let id = &profile.id;
            if !ids.insert(id.as_str()) {
                return fault(format!("the profile `{id}` is there twice"));
            }
            for host in &profile.hosts {
                if !is_host(host) || !hosts.insert(host.as_str()) {
                    return fault(format!("`{id}`: the host `{host}` is no lower-case name, or is there twice"));
                }
            }
            if let Some(unknown) = profile.quirks.iter().find(|one| !quirks.contains(one.id.as_str())) {
                return fault(format!("`{id}`: there is no quirk `{}`", unknown.id));
            }
            profile.check()?;
        }
        Ok(())
    }
}

impl Profile {
    fn check(&self) -> Result<(), ProfileFault> {
        let fault = |text: &str| Err(ProfileFault(format!("`{}`: {text}", self.id)));
        if self.hosts.is_empty() {
            return fault("it has no host");
        }
        if self.scopes.iter().any(|one| !scope::is_scope(one)) {
            return fault("a scope is none");
        }
        if self.extra_params.keys().any(|name| is_reserved(name)) {
            return fault("an extra parameter has a name that is the gateway's own");
        }
        if self.omit_scope && !self.scopes.is_empty() {
            return fault("it has scopes, and says that none are sent");
        }
        let known = self.known.iter().flat_map(|known| [&known.issuer, &known.authorization_endpoint, &known.token_endpoint]);
        if known.chain(self.known.iter().filter_map(|known| known.revocation_endpoint.as_ref())).any(|text| !text.starts_with("https://")) {
            return fault("an endpoint does not begin with `https://`");
        }
        Ok(())
    }
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains('\n')
}

fn is_host(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
}
