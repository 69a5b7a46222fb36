//! Benchmarks of the operator on a real control plane: `make bench`.
//!
//! Owns what is measured and how it is printed. It asserts nothing about time, since a busy machine is not a slow
//! program; with `--check` it does about ratios of times in one run.

#![expect(clippy::print_stdout, reason = "this is a command: it prints what it measured")]

mod fairness;
mod reaction;
mod world;

use anyhow::{Context, Result, ensure};

/// Measures what is named: `reaction`, `fairness`; both where nothing is.
#[tokio::main]
async fn main() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok().context("a TLS provider is installed already")?;
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--check").collect();
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|n| n == name);
    ensure!(named.iter().all(|n| ["reaction", "fairness"].contains(&n.as_str())), "there are reaction and fairness");
    if is_wanted("reaction") {
        println!("{}", reaction::measure(40).await?);
    }
    if is_wanted("fairness") {
        println!("{}", fairness::measure(40, 2000).await?);
    }
    Ok(())
}
