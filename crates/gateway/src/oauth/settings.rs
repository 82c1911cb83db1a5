//! Who we are towards authorization servers, and where they may send us.

use bailiwick_model::address::Cidr;
use bailiwick_modules::egress::{BaseUrl, Egress, Rules, segment};

use super::address::{self, Address};

/// Path of the one callback (governance reference 5.3).
const CALLBACK: &str = "/v1/mcp/oauth/callback";
/// Longest name that we show on consent pages.
const CLIENT_NAME_CHARS_MAX: usize = 64;

/// Settings of the whole client; cheap to clone.
#[derive(Clone)]
pub(crate) struct Settings {
    public: String,
    client_name: String,
    client_metadata_url: Option<String>,
    pub(super) egress: Egress,
    allow_private: Vec<Cidr>,
    /// The only hosts that may be dialled; `None`: any.
    only_hosts: Option<Vec<String>>,
    loopback_http: bool,
}

impl Settings {
    /// For a gateway that browsers reach at `public`: `https`, or plain HTTP on this machine.
    ///
    /// # Errors
    /// The rule that is broken, with the setting's name.
    pub(crate) fn new(public: &str, client_name: &str, egress: Egress) -> Result<Self, String> {
        let base = BaseUrl::parse(public).map_err(|rule| format!("the public address of the gateway {rule}"))?;
        if !base.https && !address::is_loopback(&base.host) {
            return Err("the public address of the gateway has to begin with `https://`".to_owned());
        }
        let length = client_name.chars().count();
        if !(1..=CLIENT_NAME_CHARS_MAX).contains(&length) || client_name.chars().any(char::is_control) {
            return Err(format!("the client name has to have 1 to {CLIENT_NAME_CHARS_MAX} printable characters"));
        }
        let public = format!("{}{}", base.origin(), base.path);
        let client_name = client_name.to_owned();
        Ok(Self {
            public,
            client_name,
            client_metadata_url: None,
            egress,
            allow_private: Vec::new(),
            only_hosts: None,
            loopback_http: false,
        })
    }

    /// The same with a client metadata document at `url` (Client ID Metadata Document): `https` with a path.
    ///
    /// # Errors
    /// The rule that is broken.
    pub(crate) fn with_client_metadata_url(mut self, url: &str) -> Result<Self, String> {
        // The document has to be fetched by others: names that only we know are of no use.
        let address = Address::read(url, self.loopback_http, false).map_err(|rule| format!("`client_metadata_url` {rule}"))?;
        if address.path() == "/" {
            return Err("`client_metadata_url` has to have a path".to_owned());
        }
        self.client_metadata_url = Some(url.to_owned());
        Ok(self)
    }

    /// The same with nothing to be dialled but these hosts.
    #[must_use]
    pub(crate) fn only_hosts(mut self, hosts: Vec<String>) -> Self {
        self.only_hosts = Some(hosts);
        self
    }

    /// The same with addresses that may be dialled although they are not public.
    #[must_use]
    pub(crate) fn with_private(mut self, allow_private: Vec<Cidr>) -> Self {
        self.allow_private = allow_private;
        self
    }

    /// The same with plain HTTP to this machine, for development.
    #[must_use]
    pub(crate) fn with_loopback_http(mut self) -> Self {
        self.loopback_http = true;
        self
    }

    /// Whether plain http to this machine is accepted.
    pub(crate) fn allows_loopback_http(&self) -> bool {
        self.loopback_http
    }

    /// The name on consent pages.
    pub(crate) fn client_name(&self) -> &str {
        &self.client_name
    }

    /// Our client id where documents serve as such.
    pub(crate) fn client_metadata_url(&self) -> Option<&str> {
        self.client_metadata_url.as_deref()
    }

    /// The callback of clients that serve every server: by document, or registered by hand.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}{CALLBACK}", self.public)
    }

    /// The callback of a client that is registered for one server: a path of its own is the second defence against mix-ups.
    pub(crate) fn redirect_uri_of(&self, server_id: &str) -> String {
        format!("{}{CALLBACK}/{}", self.public, segment(server_id))
    }

    /// The address of the gateway itself, as people know it.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// Checks an address that another party named.
    ///
    /// # Errors
    /// The rule that is broken, to be put behind `the address`.
    pub(crate) fn address(&self, text: &str) -> Result<Address, &'static str> {
        let address = Address::read(text, self.loopback_http, !self.allow_private.is_empty())?;
        let is_named = |hosts: &Vec<String>| hosts.contains(&address.base.host);
        if self.only_hosts.as_ref().is_some_and(|hosts| !is_named(hosts)) {
            return Err("is on a host that `connections.allow_hosts` does not name");
        }
        Ok(address)
    }

    /// The rules under which the server at this address is dialled.
    ///
    /// # Errors
    /// The rule that the address breaks.
    pub(crate) fn rules_for(&self, address: &str) -> Result<Rules, &'static str> {
        self.address(address).map(|address| self.rules(&address))
    }

    /// What a connection to `address` may reach.
    pub(super) fn rules(&self, address: &Address) -> Rules {
        // Plain addresses lead to this machine; that was checked when they were read.
        if address.is_plain() {
            Rules::for_configured_host(&address.base.host, self.allow_private.clone())
        } else {
            Rules { allow_private: self.allow_private.clone() }
        }
    }
}
