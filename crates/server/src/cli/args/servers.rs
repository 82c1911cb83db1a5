//! Commands about registered servers.

use std::path::PathBuf;

use bailiwick_model::registered::{AuthMethod, CredentialFallback, NewToolsPolicy, RegistrationChoice, ServerEra};
use bailiwick_model::{OrgId, Subject};
use clap::{Args, Subcommand};

use super::Confirm;

/// A server that is meant, and the organisation to act in.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArgs {
    /// Its display name or its id
    // `--server` has the plain word.
    #[arg(id = "registered", value_name = "SERVER")]
    pub(crate) server: String,
    #[command(flatten)]
    pub(crate) within: Within,
}

/// The organisation to act in.
#[derive(Clone, Debug, Args)]
pub(crate) struct Within {
    /// Organisation [default: `org` of the configuration, or that of the key]
    #[arg(long, value_parser = OrgId::parse)]
    pub(crate) org: Option<OrgId>,
}

/// Whose connection is meant.
#[derive(Clone, Debug, Args)]
#[group(multiple = false)]
pub(crate) struct HolderArgs {
    /// That of this member [default: one's own]
    #[arg(long, value_name = "SUB", value_parser = Subject::parse)]
    pub(crate) user: Option<Subject>,
    /// That of the organisation itself
    #[arg(long)]
    pub(crate) organisation: bool,
}

/// What is given to register a server.
#[derive(Clone, Debug, Args)]
pub(crate) struct NewServerArgs {
    /// What agents and people will call it: the prefix of its tools
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Where it is
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// How to become known to its issuer: auto, dcr, manual, cimd [default: dcr, with --platform manual]
    #[arg(long, value_name = "MODE", value_parser = RegistrationChoice::parse)]
    pub(crate) mode: Option<RegistrationChoice>,
    /// Its issuer
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// Where people consent
    #[arg(long, value_name = "URL")]
    pub(crate) authorization_endpoint: Option<String>,
    /// Where codes become tokens
    #[arg(long, value_name = "URL")]
    pub(crate) token_endpoint: Option<String>,
    /// Where tokens are given back
    #[arg(long, value_name = "URL")]
    pub(crate) revocation_endpoint: Option<String>,
    /// What the issuer calls us, with `--mode manual`
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// File that holds the client secret; `-` reads it from stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) client_secret_file: Option<PathBuf>,
    /// How we prove who we are: none, client_secret_basic, client_secret_post [default: found out]
    #[arg(long, value_name = "METHOD", value_parser = AuthMethod::parse)]
    pub(crate) auth_method: Option<AuthMethod>,
    /// A scope to ask for; several times for several [default: what the server says]
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// Something to add to authorization requests, such as `access_type=offline`
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = param)]
    pub(crate) params: Vec<(String, String)>,
    /// A tool to expose; several times for several [default: all that it lists when it is first asked]
    #[arg(long = "allow", value_name = "TOOL")]
    pub(crate) allow: Vec<String>,
    /// What becomes of tools that appear later: review, allow, block
    #[arg(long, value_name = "POLICY", value_parser = NewToolsPolicy::parse, default_value = "review")]
    pub(crate) new_tools: NewToolsPolicy,
    /// Which revisions to speak: auto, legacy, modern
    #[arg(long, value_name = "ERA", value_parser = ServerEra::parse, default_value = "auto")]
    pub(crate) era: ServerEra,
    /// Register it for the platform instead of one organisation
    #[arg(long)]
    pub(crate) platform: bool,
    /// With --platform: an organisation that sees it; several times for several [default: all]
    #[arg(long = "for", value_name = "ORG", value_parser = OrgId::parse, requires = "platform")]
    pub(crate) orgs: Vec<OrgId>,
    #[command(flatten)]
    pub(crate) within: Within,
}

fn param(text: &str) -> Result<(String, String), &'static str> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or("write NAME=VALUE")
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Register a server and set it up
    Add(Box<NewServerArgs>),
    /// List the servers that an organisation sees
    List {
        /// Every server, with all organisations that see it
        #[arg(long, conflicts_with = "org")]
        all: bool,
        #[command(flatten)]
        within: Within,
    },
    /// Show one server
    Show {
        #[command(flatten)]
        which: ServerArgs,
    },
    /// Change name, scopes, or what becomes of new tools
    Update {
        #[command(flatten)]
        which: ServerArgs,
        /// Another name
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// A scope to ask for, in place of all others; several times for several
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Ask for what the server says
        #[arg(long, conflicts_with = "scopes")]
        no_scopes: bool,
        /// What becomes of tools that appear later: review, allow, block
        #[arg(long, value_name = "POLICY", value_parser = NewToolsPolicy::parse)]
        new_tools: Option<NewToolsPolicy>,
    },
    /// Delete a server with all that organisations have there; tokens are given back
    Rm {
        #[command(flatten)]
        which: ServerArgs,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Set a server up anew, after its registration failed or something changed there
    Retry {
        #[command(flatten)]
        which: ServerArgs,
    },
    /// List the tools of a server; change which are exposed
    Tools {
        #[command(flatten)]
        which: ServerArgs,
        /// Ask the server first
        #[arg(long)]
        discover: bool,
        /// Expose this tool as well
        #[arg(long = "allow", value_name = "TOOL")]
        allow: Vec<String>,
        /// Do not expose this tool any more
        #[arg(long = "block", value_name = "TOOL")]
        block: Vec<String>,
        /// Expose what this server exposes
        #[arg(long, value_name = "SERVER", conflicts_with_all = ["allow", "block"])]
        copy_from: Option<String>,
    },
    /// Expose exactly these tools
    Allow {
        #[command(flatten)]
        which: ServerArgs,
        /// Their names, as the server has them
        #[arg(value_name = "TOOL", required_unless_present_any = ["none", "unset"])]
        tools: Vec<String>,
        /// Expose none
        #[arg(long, conflicts_with = "tools")]
        none: bool,
        /// Forget the list: the next discovery exposes all that there are
        #[arg(long, conflicts_with_all = ["tools", "none"])]
        unset: bool,
    },
    /// Show or set what an organisation says of a server to those who use it
    Context {
        #[command(flatten)]
        which: ServerArgs,
        /// The text, at most 4,000 characters
        #[arg(value_name = "TEXT")]
        text: Option<String>,
        /// Take it back
        #[arg(long, conflicts_with = "text")]
        clear: bool,
    },
    /// Show or choose the secret with which an organisation stands in for people without a connection
    Credential {
        #[command(flatten)]
        which: ServerArgs,
        /// Name of the secret, as `bailiwick secret set` knows it
        #[arg(value_name = "SECRET")]
        secret: Option<String>,
        /// Take it away; the secret stays
        #[arg(long, conflicts_with = "secret")]
        clear: bool,
    },
    /// Say for which organisations a server is; the others lose what they have there
    Orgs {
        /// Its display name or its id
        #[arg(id = "registered", value_name = "SERVER")]
        server: String,
        /// Exactly these
        #[arg(value_name = "ORG", value_parser = OrgId::parse, required_unless_present = "everybody")]
        orgs: Vec<OrgId>,
        /// All of them
        #[arg(long, conflicts_with = "orgs")]
        everybody: bool,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Print a link that a person opens to connect with a server; it is good for ten minutes
    Connect {
        #[command(flatten)]
        which: ServerArgs,
        #[command(flatten)]
        holder: HolderArgs,
        /// Without a link and a person: connect the organisation as the client that was registered by hand (client credentials)
        #[arg(long, conflicts_with_all = ["user", "organisation"])]
        as_client: bool,
    },
    /// Take a connection away; its tokens are given back
    Disconnect {
        #[command(flatten)]
        which: ServerArgs,
        #[command(flatten)]
        holder: HolderArgs,
    },
    /// List who is connected with a server, and how well
    Connections {
        #[command(flatten)]
        which: ServerArgs,
    },
    /// Look for what is wrong, from the server's address to the page that a person would open
    Doctor {
        #[command(flatten)]
        which: ServerArgs,
        /// Make a client at the authorization server if that is the way; it stays there
        #[arg(long)]
        register: bool,
    },
    /// Show or set for whom the credentials of an organisation stand in
    Fallback {
        /// on: for members without a working connection; service_only: for agents that act for nobody; off: for nobody
        #[arg(value_name = "WHOM", value_parser = CredentialFallback::parse)]
        fallback: Option<CredentialFallback>,
        #[command(flatten)]
        within: Within,
    },
}
