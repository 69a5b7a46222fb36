//! The command line: one file a verb.
//!
//! Owns what people type and read. It acts with the rights of whoever calls it, never with the operator's, and writes
//! to objects only: at a provider nothing happens but through the operator.

mod abandon;
mod age;
mod authorization;
mod authorize;
mod caller;
mod cluster;
mod completions;
mod crds;
mod names;
mod output;
mod proxy;
mod question;
mod reconcile;
mod refresh;
mod refusal;
mod resolve;
mod run;
mod status;
mod suspend;
mod turn;
mod validate;
mod view;
mod wait;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use refusal::{BadInput, Blocked};
use std::{ffi::OsString, path::Path, process::ExitCode, time::Duration};

/// The name of the file that makes this program a plugin of kubectl.
const PLUGIN: &str = "kubectl-tradewind";

const EXIT_CODES: &str = "Exit codes: 0 done, or nothing to do; 1 error; 2 something would change; 3 invalid input; \
                          4 blocked until a person acts";

/// How long the runtime's threads may take to end, once the work has.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Keeps commerce and accounting connections as declared in Kubernetes
#[derive(Parser)]
#[command(name = "tradewind", version, after_help = EXIT_CODES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Run(Box<run::Run>),
    Crds(crds::Crds),
    Validate(validate::Validate),
    Status(status::Status),
    Reconcile(reconcile::Reconcile),
    Refresh(refresh::Refresh),
    Authorize(authorize::Authorize),
    Suspend(suspend::Suspend),
    Resume(suspend::Resume),
    Resolve(resolve::Resolve),
    Abandon(abandon::Abandon),
    Completions(completions::Completions),
}

/// How the program ends. The numbers are part of its interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// It could not be done.
    Failed = 1,
    /// Something would change, or still will.
    Changes = 2,
    /// What was handed in cannot be used as it is.
    Invalid = 3,
    /// Nothing goes on before a person acts.
    Blocked = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what the arguments say, the program's own name first, and returns how the process shall end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args = args.into_iter().peekable();
    let program = program(args.peek());
    let parsed = Cli::command().bin_name(program).try_get_matches_from(args).and_then(|m| Cli::from_arg_matches(&m));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Where nobody can read it, there is nothing else to tell them.
            let _ = error.print();
            return if error.use_stderr() { Exit::Invalid } else { Exit::Done }.into();
        }
    };
    match carry_out(cli.verb, program) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::fail(&error);
            failure(&error).into()
        }
    }
}

/// How the program ends with an error.
fn failure(error: &anyhow::Error) -> Exit {
    if error.is::<BadInput>() {
        Exit::Invalid
    } else if error.is::<Blocked>() {
        Exit::Blocked
    } else {
        Exit::Failed
    }
}

/// What people type to call this program, by the name of its file.
fn program(file: Option<&OsString>) -> &'static str {
    let stem = file.and_then(|file| Path::new(file).file_stem());
    if stem.is_some_and(|stem| stem == PLUGIN) { "kubectl tradewind" } else { "tradewind" }
}

fn carry_out(verb: Verb, program: &'static str) -> anyhow::Result<Exit> {
    // Only the operator has work for more than one thread.
    let mut builder = if matches!(verb, Verb::Run(_)) {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build()?;
    let result = runtime.block_on(async {
        match verb {
            Verb::Run(verb) => verb.run().await,
            Verb::Crds(verb) => verb.run(),
            Verb::Validate(verb) => verb.run(),
            Verb::Status(verb) => verb.run(program).await,
            Verb::Reconcile(verb) => verb.run(program).await,
            Verb::Refresh(verb) => verb.run(program).await,
            Verb::Authorize(verb) => verb.run(program).await,
            Verb::Suspend(verb) => verb.run(program).await,
            Verb::Resume(verb) => verb.run(program).await,
            Verb::Resolve(verb) => verb.run(program).await,
            Verb::Abandon(verb) => verb.run(program).await,
            Verb::Completions(verb) => verb.run(),
        }
    });
    // Passes that were cut off still say so. Not dropped: that would wait for a look-up of a name that never ends.
    runtime.shutdown_timeout(LAST_WORDS);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plugin_is_called_as_one() {
        let called = |file: &str| program(Some(&OsString::from(file)));
        assert_eq!(called("/usr/local/bin/kubectl-tradewind"), "kubectl tradewind");
        assert_eq!(called("kubectl-tradewind.exe"), "kubectl tradewind");
        assert_eq!(called("/usr/local/bin/tradewind"), "tradewind");
        assert_eq!(program(None), "tradewind");
    }
}
