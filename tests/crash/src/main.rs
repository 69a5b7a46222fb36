//! `make crash`: prints its settings, a line for each part, and one line of totals; ends with an error if anything is not 0.

#![expect(clippy::print_stdout, reason = "this is a command: it prints what it counted")]

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tradewind_crash::run::Plan;

/// Kills the operator before and after every write, and at any moment, and counts what that costs at the providers
#[derive(Debug, Parser)]
struct Args {
    /// The short form, which `make test` runs too
    #[arg(long)]
    short: bool,
    /// Lives at the same time; most of them wait
    #[arg(long, default_value_t = 24)]
    lanes: usize,
    /// What is drawn is drawn from it; a new one by default
    #[arg(long)]
    seed: Option<u64>,
    /// Fail where it takes longer than so many seconds
    #[arg(long, value_name = "SECONDS")]
    within: Option<u64>,
    /// Where files go
    #[arg(long, default_value = "target/crash")]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok().context("a TLS provider is installed already")?;
    let (Args { short, lanes, seed, within, dir }, begun) = (Args::parse(), Instant::now());
    let seed = seed.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0 % 1_000_000);
    let here = std::env::current_exe()?;
    let beside = |name| here.with_file_name(name);
    let (operator, naive) = (beside("crash-operator"), beside("crash-naive"));
    let plan = Plan { operator, naive, dir, lanes, seed, short };
    let mut terminate = signal(SignalKind::terminate())?;
    // Dropped on the way out, the run ends every process that it has started.
    let report = tokio::select! {
        report = plan.run(|line| println!("{line}")) => report?,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    };
    let took = begun.elapsed().as_secs();
    println!("{report}\nin {took}s");
    ensure!(within.is_none_or(|most| took <= most), "it took {took}s, and not {} at most", within.unwrap_or_default());
    ensure!(report.failures.is_empty(), "{} thing(s) are not as they must be", report.failures.len());
    Ok(())
}
