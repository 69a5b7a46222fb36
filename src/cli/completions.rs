//! `tradewind completions`: what a shell has to know to complete verbs, options and their values.
//!
//! The scripts are static: they know the arguments of this version and ask no cluster, so no names of objects either.

use super::{Cli, Exit, output::print};
use clap::CommandFactory;
use clap_complete::{Shell, generate};

/// Print what a shell needs to complete commands
///
/// In bash, for this session: source <(tradewind completions bash)
#[derive(clap::Args, Debug)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "tradewind", &mut script);
        print(&String::from_utf8(script)?)?;
        Ok(Exit::Done)
    }
}
