//! Commands about the keys that seal.

use std::path::PathBuf;

use bailiwick_model::OrgId;
use clap::{Args, Subcommand};

use super::Confirm;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Which key seals how many rows, and which root key opens it
    Status {
        /// Organisation [default: all, and the platform]
        #[arg(long, value_parser = OrgId::parse)]
        org: Option<OrgId>,
        /// Also open every sealed value, and name those that do not open
        #[arg(long)]
        verify: bool,
    },
    /// Change a key; may be cut off at any moment and run again, while gateways serve
    Rotate(RotateArgs),
    /// Take a version of an organisation's key away; refused while it seals anything
    Retire {
        /// Organisation
        #[arg(long, value_parser = OrgId::parse)]
        org: OrgId,
        /// Version as in `keys status`
        #[arg(long, value_name = "N")]
        version: i64,
    },
}

#[derive(Debug, Args)]
#[group(id = "which", required = true, multiple = false, args = ["root", "org"])]
pub(crate) struct RotateArgs {
    /// The key of this organisation: add a version, which seals what is new, and move everything under it
    #[arg(long, value_parser = OrgId::parse)]
    pub(crate) org: Option<OrgId>,
    /// The root key: with --new-root-key-file make everything open with both, without it keep only the configured one
    #[arg(long)]
    pub(crate) root: bool,
    /// With --root: file of the root key to change to; made when there is none
    #[arg(long, value_name = "FILE", conflicts_with_all = ["org", "old_root_key_file"])]
    pub(crate) new_root_key_file: Option<PathBuf>,
    /// With --root: file of the former root key, to take over what only that one opens
    #[arg(long, value_name = "FILE", conflicts_with = "org")]
    pub(crate) old_root_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) confirm: Confirm,
}
