//! The command line as written ("low" arguments): plain data, one struct per command. The text here is the help text.

mod people;
mod records;
mod sealing;
mod servers;
mod things;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use bailiwick_model::{AgentId, OrgId};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::logging::LogFormat;

pub(crate) use people::{GroupCommand, PlatformAdminCommand, UserCommand};
pub(crate) use records::{FeedbackCommand, InstructionCommand, RunLogCommand, Which, Whose};
pub(crate) use sealing::{KeysCommand, RotateArgs};
pub(crate) use servers::{HolderArgs, NewServerArgs, ServerArgs, ServerCommand};
pub(crate) use things::{AgentCommand, KeyCommand, OrgCommand, OwnerArgs, SecretCommand};

/// A gateway and control plane for MCP: every agent gets its own tools, resources and credentials, and everything it did is on a
/// ledger that can be proven unaltered.
#[derive(Debug, Parser)]
#[command(name = "bailiwick", version, max_term_width = 110, arg_required_else_help = true)]
#[command(after_help = "New here? `bailiwick demo --once` shows in a few seconds what this does.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) flat: FlatArgs,
}

/// The flat form of scoped-mcp: same as `bailiwick run`.
#[derive(Debug, Args)]
pub(crate) struct FlatArgs {
    /// Same as `bailiwick run --manifest FILE`
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    manifest: Option<PathBuf>,
    /// As with `run`
    #[arg(long, value_name = "FILE", requires = "manifest", hide_short_help = true)]
    audit_log: Option<PathBuf>,
    /// As with `run`
    #[arg(long, value_name = "FILE", requires = "manifest", hide_short_help = true)]
    ops_log: Option<PathBuf>,
    /// As with `run`
    #[arg(long, requires = "manifest", hide_short_help = true)]
    allow_type_mismatch: bool,
    /// As with `run`
    #[arg(long, requires = "manifest", hide_short_help = true)]
    strict: bool,
}

impl FlatArgs {
    /// The same as arguments of `run`; `None` when the form was not used.
    pub(crate) fn into_run(self) -> Option<RunArgs> {
        let Self { manifest, audit_log, ops_log, allow_type_mismatch, strict } = self;
        Some(RunArgs {
            manifest: manifest?,
            streams: StreamArgs { audit_log, ops_log },
            transport: TransportArgs::default(),
            allow_type_mismatch,
            strict,
        })
    }
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// Configuration file [default: ./bailiwick.yml, then bailiwick/bailiwick.yml in the user's configuration directory]
    #[arg(long, global = true, value_name = "FILE", env = "BAILIWICK_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Administer the gateway at URL through its API, with the key in BAILIWICK_KEY or the file BAILIWICK_KEY_FILE, instead of the database
    /// of this machine
    #[arg(long, global = true, value_name = "URL", env = "BAILIWICK_SERVER", hide_env_values = true)]
    pub(crate) server: Option<String>,
    /// Form of results on stdout
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: Form,
    /// Form of log lines on stderr [default: text on a terminal, json elsewhere]
    #[arg(long, global = true, value_enum, value_name = "FORM")]
    pub(crate) log_format: Option<LogFormat>,
}

/// The form of a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs: stable and documented.
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve one agent over stdio, as its manifest allows (AGENT_ID and AGENT_TYPE say who it is)
    Run(RunArgs),
    /// Serve a team over HTTP: one endpoint for all agents
    Serve(ServeArgs),
    /// Show on this machine, with nothing set up, what Bailiwick does
    Demo(DemoArgs),
    /// Organisations
    #[command(subcommand)]
    Org(OrgCommand),
    /// Members of an organisation: the people
    #[command(subcommand)]
    User(UserCommand),
    /// Groups of members
    #[command(subcommand)]
    Group(GroupCommand),
    /// API keys of agents
    #[command(subcommand)]
    Key(KeyCommand),
    /// People who act above organisations
    #[command(subcommand)]
    PlatformAdmin(PlatformAdminCommand),
    /// Sealed values: credentials that agents use without seeing them
    #[command(subcommand)]
    Secret(SecretCommand),
    /// External servers that are registered while gateways run, and connections with them
    #[command(subcommand)]
    Server(ServerCommand),
    /// The keys that seal: which seals what, change one, take one away
    #[command(subcommand)]
    Keys(KeysCommand),
    /// What every agent is to follow: the texts, their versions, their history
    #[command(subcommand)]
    Instruction(InstructionCommand),
    /// What agents and people say about tools and gaps
    #[command(subcommand)]
    Feedback(FeedbackCommand),
    /// The record of everything agents did
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Runs of agents: what they worked on, and the calls that belong to it
    #[command(subcommand)]
    RunLog(RunLogCommand),
    /// The database
    #[command(subcommand)]
    Db(DbCommand),
    /// Check manifests and configuration files, and print every mistake
    Validate(ValidateArgs),
    /// What may be written in manifests and configuration files: JSON Schemas for editors, pages for people
    #[command(subcommand)]
    Schema(SchemaCommand),
    /// Agents
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Put limits on this process, then become PROGRAM
    #[command(name = "__stdio-exec", hide = true)]
    StdioExec(StdioExecArgs),
    /// The upstream server of the demonstration
    #[command(name = "__demo-upstream", hide = true)]
    DemoUpstream,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    /// Manifest of the agent
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: PathBuf,
    #[command(flatten)]
    pub(crate) streams: StreamArgs,
    #[command(flatten)]
    pub(crate) transport: TransportArgs,
    /// Start although AGENT_TYPE differs from the manifest's `agent_type`; warn instead
    #[arg(long)]
    pub(crate) allow_type_mismatch: bool,
    /// Refuse a manifest in which a module with writing tools has no `mode`
    #[arg(long)]
    pub(crate) strict: bool,
}

/// How the agent's client is connected.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TransportArgs {
    /// `http` is Streamable HTTP on this machine; clients present the value of SCOPED_MCP_BEARER_TOKEN as bearer token
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub(crate) transport: Transport,
    /// With `http`: address of this machine to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    /// With `http`, where it must be given: port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", required_if_eq("transport", "http"))]
    pub(crate) port: Option<u16>,
    /// With `http`: path of the endpoint [default: /mcp]
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
}

/// How a client is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    /// The process's own input and output.
    #[default]
    Stdio,
    /// Streamable HTTP.
    Http,
}

/// The two files of the scoped-mcp world.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct StreamArgs {
    /// Also write one JSON line per call to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log: Option<PathBuf>,
    /// Also write operational events as JSON lines to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) ops_log: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on; port 0 takes a free one [default: `listen` of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) streams: StreamArgs,
    /// Refuse manifests in which a module with writing tools has no `mode`
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the last step instead of serving on; exit 0 only if every step went as shown
    #[arg(long)]
    pub(crate) once: bool,
}

/// Consent to what cannot be undone.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Confirm {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// The newest records; with -f also those that follow
    Tail {
        /// Go on until interrupted
        #[arg(short, long)]
        follow: bool,
        /// How many
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=10_000))]
        lines: u32,
        /// Organisation [default: all]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Records in readable form, newest first
    List {
        #[command(flatten)]
        filter: CallFilter,
    },
    /// Everything readable of one call
    Show {
        /// Event id as given in refusals and lists
        #[arg(value_name = "EVENT_ID")]
        id: String,
        /// Organisation [default: all]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Prove that no record was changed, removed or moved
    ///
    /// Names the first bad record otherwise. Exit codes: 1 altered, 2 gap or missing end, 3 not readable, 4 signature or key.
    Verify {
        /// A ledger directory or an export [default: this gateway's own ledger]
        #[arg(value_name = "PATH")]
        path: Option<PathBuf>,
        #[command(flatten)]
        trust: TrustArgs,
    },
    /// Write the records as JSON lines that `verify` can check anywhere
    Export {
        /// File to write, which must not exist [default: stdout]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// What a ledger is checked against.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TrustArgs {
    /// Public keys that were kept elsewhere, one a line [default: those beside the ledger, which show damage but not forgery]
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Checkpoints that were kept elsewhere
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoints: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CallFilter {
    /// Organisation [default: all]
    #[arg(long, value_parser = OrgId::parse)]
    pub(crate) org: Option<OrgId>,
    /// Only calls of this agent
    #[arg(long, value_parser = AgentId::parse, value_name = "AGENT_ID")]
    pub(crate) agent: Option<AgentId>,
    /// Only calls of this tool, by the name that agents see
    #[arg(long, value_name = "NAME")]
    pub(crate) tool: Option<String>,
    /// Only what was refused or failed with this code, such as `path_refused`
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// Only what was refused or failed
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only calls since a time such as `2026-07-28T09:00:00Z`, or in the last `1h`, `2d`
    #[arg(long, value_name = "TIME", value_parser = super::when::since)]
    pub(crate) since: Option<super::when::Since>,
    /// How many, newest first
    #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Bring the tables to the version of this program
    Migrate,
    /// Which database, which version
    Status,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SchemaCommand {
    /// The JSON Schema of manifests, with the modules of this build
    Manifest {
        /// As a page for people
        #[arg(long)]
        markdown: bool,
    },
    /// The JSON Schema of `bailiwick.yml`
    Config {
        /// As a page for people
        #[arg(long)]
        markdown: bool,
    },
    /// The OpenAPI 3.1 document of the management API
    Openapi,
    /// A page about the modules of this build: keys, credentials, tools with their arguments
    Modules,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Manifests and configuration files, told apart by what is in them; with a configuration among them, the servers that manifests
    /// grant must be declared there
    #[arg(required_unless_present = "manifest", value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A manifest (form of scoped-mcp)
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    /// Do not look for the credentials that modules require
    #[arg(long)]
    pub(crate) no_credentials: bool,
    /// Take a module with writing tools and without `mode` for an error
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StdioExecArgs {
    /// Process that must still be the parent
    #[arg(long)]
    pub(crate) parent: i32,
    /// Program and arguments
    #[arg(last = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_flat_form_is_run() {
        let cli = Cli::try_parse_from(["bailiwick", "--manifest", "m.yml", "--audit-log", "a.log", "--ops-log", "o.log"]).unwrap();
        let flat = cli.flat.into_run().unwrap();
        assert_eq!((flat.manifest, flat.streams.audit_log), ("m.yml".into(), Some("a.log".into())));
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["bailiwick", "run", "--manifest", "m.yml", "--config", "b.yml"]).unwrap();
        assert!(cli.flat.into_run().is_none() && matches!(cli.command, Some(Command::Run(_))));
        assert_eq!(cli.common.config, Some("b.yml".into()));
        // Both at once is refused where the command is chosen.
        let cli = Cli::try_parse_from(["bailiwick", "--manifest", "m.yml", "serve"]).unwrap();
        assert!(cli.command.is_some() && cli.flat.into_run().is_some());
    }

    #[test]
    fn nothing_at_all_is_a_usage_error() {
        let fault = Cli::try_parse_from(["bailiwick"]).unwrap_err();
        assert_eq!(fault.exit_code(), 2);
        assert!(Cli::try_parse_from(["bailiwick", "secret", "set", "NAME", "value"]).is_err(), "no value on the command line");
    }
}
