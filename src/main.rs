//! The program: one TLS provider for everything, then the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    // kube and reqwest share it, and the first client that is made without one panics. It fails only where there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tradewind::cli::main(std::env::args_os())
}
