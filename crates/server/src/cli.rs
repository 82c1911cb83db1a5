//! The command line: arguments as written become commands with meaning; results and failures become output and exit codes.

mod agent;
mod args;
pub(crate) mod audit;
mod context;
mod db;
mod desk;
mod feedback;
mod group;
mod instruction;
mod key;
mod keys;
mod org;
pub(crate) mod output;
mod pages;
mod platform_admin;
mod remote;
mod run;
mod run_log;
mod schema;
mod secret;
mod serve;
mod server;
mod start;
mod user;
mod validate;
mod when;

use std::future::Future;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use args::{Cli, Command};
pub(crate) use context::Context;

use crate::exit::{Exit, Failure};
use crate::{Program, demo, environment, harden, shim};

/// Parses, runs, reports; the one place where results become exit codes.
pub(crate) fn main(program: Program) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(fault) => return usage(&fault),
    };
    match run(cli, program) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_told() {
                eprintln!("{failure}");
            }
            ExitCode::from(failure.exit() as u8)
        }
    }
}

/// Help and version are results (stdout, 0); everything else about usage is talk (stderr, 2).
fn usage(fault: &clap::Error) -> ExitCode {
    // The terminal may be gone; there is nobody left to tell.
    let _ = fault.print();
    ExitCode::from(if fault.use_stderr() { Exit::Usage as u8 } else { 0 })
}

fn run(cli: Cli, program: Program) -> Result<(), Failure> {
    let Cli { common, command, flat } = cli;
    let environment = environment::read();
    let command = match (command, flat.into_run()) {
        (Some(_), Some(_)) => {
            let failure = Failure::new(Exit::Usage, "`--manifest` is itself the command `run`, and there is another command");
            return Err(failure.hint("leave one of them out"));
        }
        (Some(command), None) => command,
        (None, Some(run)) => Command::Run(run),
        (None, None) => return Err(Failure::new(Exit::Usage, "no command").hint("`bailiwick --help` lists the commands")),
    };
    // Before anything else: the program of a stdio server is none of ours and sets its own course.
    if let Command::StdioExec(wanted) = command {
        return Err(shim::exec(wanted.parent, &wanted.command));
    }
    let refused = harden::harden_process();
    let context = Context::new(common, environment, refused, program);
    match command {
        Command::Run(args) => finish(many()?, run::run(&context, args)),
        Command::Serve(args) => finish(many()?, serve::run(&context, args)),
        Command::Demo(args) => finish(many()?, demo::run(&context, args.once)),
        Command::Org(command) => finish(single()?, org::run(&context, command)),
        Command::User(command) => finish(single()?, user::run(&context, command)),
        Command::Group(command) => finish(single()?, group::run(&context, command)),
        Command::PlatformAdmin(command) => finish(single()?, platform_admin::run(&context, command)),
        Command::Key(command) => finish(single()?, key::run(&context, command)),
        Command::Secret(command) => finish(single()?, secret::run(&context, command)),
        Command::Server(command) => finish(single()?, server::run(&context, command)),
        Command::Keys(command) => finish(single()?, keys::run(&context, command)),
        Command::Instruction(command) => finish(single()?, instruction::run(&context, command)),
        Command::Feedback(command) => finish(single()?, feedback::run(&context, command)),
        Command::Audit(command) => finish(single()?, audit::run(&context, command)),
        Command::RunLog(command) => finish(single()?, run_log::run(&context, command)),
        Command::Db(command) => finish(single()?, db::run(&context, &command)),
        Command::Agent(command) => finish(single()?, agent::run(&context, command)),
        Command::DemoUpstream => finish(single()?, demo::upstream::run(&context.environment)),
        Command::Schema(command) => schema::run(&context, &command),
        Command::Validate(args) => validate::run(&context, &args),
        Command::StdioExec(_) => Ok(()),
    }
}

/// Runs to the end. What still runs on the side (a read of standard input cannot be taken back) does not hold the process.
fn finish(runtime: Runtime, command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let done = runtime.block_on(Box::pin(command));
    runtime.shutdown_background();
    done
}

/// The runtime of a serving command: one thread for each core that this process may use.
fn many() -> Result<Runtime, Failure> {
    Builder::new_multi_thread().enable_all().build().map_err(no_runtime)
}

/// The runtime of a short command.
fn single() -> Result<Runtime, Failure> {
    Builder::new_current_thread().enable_all().build().map_err(no_runtime)
}

fn no_runtime(cause: std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("cannot start: {cause}"))
}
