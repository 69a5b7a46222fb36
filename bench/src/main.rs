//! Benchmarks of the operator on a real control plane: `make bench`.
//!
//! Owns what is measured and how it is printed. It asserts nothing about time: a busy machine is not a slow program.

#![expect(clippy::print_stdout, reason = "this is a command: it prints what it measured")]

mod fairness;
mod reaction;
mod world;

use anyhow::{Context, Result};

#[tokio::main]
async fn main() -> Result<()> {
    rustls::crypto::ring::default_provider().install_default().ok().context("a TLS provider is installed already")?;
    println!("{}", reaction::measure(40).await?);
    println!("{}", fairness::measure(40, 2000).await?);
    Ok(())
}
