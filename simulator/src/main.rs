//! The simulator as a program, for the demo and for tests that want a process.
//!
//! Prints the address it listens on as one line on stdout; requests are logged on stderr, without secrets.

mod args;

use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::Parser as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tradewind_simulator::{Clock, Simulator, serve};

use crate::args::Args;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(io::stderr).init();

    let stop = stop_signal()?;
    let clock = Clock::real();
    let simulator = Simulator::new(clock.clone(), args.setup(clock.now()));
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    if let Some(file) = &args.port_file {
        std::fs::write(file, address.port().to_string()).with_context(|| format!("cannot write {}", file.display()))?;
    }
    writeln!(io::stdout(), "{address}")?;
    serve(listener, simulator.router_with_admin(), stop).await;
    Ok(())
}

/// Done when the process is asked to stop.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
