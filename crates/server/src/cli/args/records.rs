//! Commands about what agents follow, what they worked on, and what they say of it.

use std::path::PathBuf;

use bailiwick_model::{DocKind, DocSlug, FeedbackId, GroupId, OrgId, Outcome, RunId, RunNote};
use clap::{Args, Subcommand};

use super::Confirm;

/// Whose instruction is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct Whose {
    /// That of a group instead of the organisation's
    #[arg(long, value_parser = GroupId::parse)]
    pub(crate) group: Option<GroupId>,
    /// Organisation [default: `org` of the configuration, or that of the key]
    #[arg(long, value_parser = OrgId::parse)]
    pub(crate) org: Option<OrgId>,
}

/// Which instruction is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct Which {
    /// Its kind, such as `rule` or `skill`
    #[arg(value_parser = DocKind::parse)]
    pub(crate) kind: DocKind,
    /// Its name within the kind
    #[arg(value_parser = DocSlug::parse)]
    pub(crate) slug: DocSlug,
    #[command(flatten)]
    pub(crate) whose: Whose,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InstructionCommand {
    /// List instructions
    List {
        /// Only this kind
        #[arg(long, value_parser = DocKind::parse)]
        kind: Option<DocKind>,
        #[command(flatten)]
        whose: Whose,
    },
    /// Print the text of one
    Show {
        #[command(flatten)]
        which: Which,
        /// This version instead of the newest, also of one that was deleted
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        version: Option<u32>,
    },
    /// Write the next version of one
    Set {
        #[command(flatten)]
        which: Which,
        /// The text; `-` reads standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// A line for people [default: as it is]
        #[arg(long)]
        title: Option<String>,
        /// What it is for, so that agents can decide to load it [default: as it is]
        #[arg(long)]
        description: Option<String>,
        /// Only if this is the newest version; 0: only if there is none
        #[arg(long, value_name = "NUMBER")]
        expected_version: Option<u32>,
    },
    /// List the versions of one, the oldest first
    History {
        #[command(flatten)]
        which: Which,
    },
    /// Write what an earlier version said as the next one
    Revert {
        #[command(flatten)]
        which: Which,
        /// The earlier version
        #[arg(value_name = "VERSION", value_parser = clap::value_parser!(u32).range(1..))]
        to: u32,
        /// Only if this is the newest version; 0: only if it is deleted
        #[arg(long, value_name = "NUMBER")]
        expected_version: Option<u32>,
    },
    /// Take one out of every list; its versions stay
    Delete {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        confirm: Confirm,
    },
    /// Find those that name tools which no agent has (with `--server`: only a gateway knows the tools)
    Check {
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunLogCommand {
    /// Runs, newest first
    List {
        /// Organisation [default: all]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        /// Only runs of this member, or `agent:ID`
        #[arg(long, value_name = "SUBJECT", value_parser = bailiwick_model::Subject::parse)]
        sub: Option<bailiwick_model::Subject>,
        /// Only runs that have not ended
        #[arg(long)]
        open: bool,
        /// How many of each organisation
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// One run and its calls
    Show {
        /// Run id as given by `run_start` and `run-log list`
        #[arg(value_name = "RUN_ID", value_parser = RunId::parse)]
        id: RunId,
        /// Organisation [default: all]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// End a run for its agent
    Finish {
        /// Run id as given by `run_start` and `run-log list`
        #[arg(value_name = "RUN_ID", value_parser = RunId::parse)]
        id: RunId,
        /// done, abandoned, failed or blocked
        #[arg(long, default_value = "abandoned", value_parser = Outcome::parse)]
        outcome: Outcome,
        /// Why it is ended; stands on the ledger
        #[arg(long)]
        reason: String,
        /// What came of it
        #[arg(long, value_parser = RunNote::parse)]
        note: Option<RunNote>,
        /// Organisation [default: all]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FeedbackCommand {
    /// Feedback, newest first
    List {
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        /// Only what is not resolved
        #[arg(long)]
        open: bool,
        /// How many
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=50_000))]
        limit: u32,
    },
    /// Give feedback
    Give {
        /// `tool_feedback` or `gap`
        signal: String,
        /// bug, misleading_doc, wrong_result, praise; missing_tool, missing_doctrine, missing_data; other
        kind: String,
        /// The tool, or what is missing
        target: String,
        /// What happened
        #[arg(long)]
        text: Option<String>,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
    /// Say what came of a feedback
    Resolve {
        /// As `feedback list` shows it
        #[arg(value_name = "ID", value_parser = FeedbackId::parse)]
        id: FeedbackId,
        /// What came of it
        resolution: String,
        /// Organisation [default: `org` of the configuration, or that of the key]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
    },
}
