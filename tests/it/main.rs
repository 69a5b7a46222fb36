//! The integration tests: everything that needs the whole program, a real API server or the whole source tree.
//!
//! One binary, so that one control plane serves them all: it starts with the first test that asks for a [`cluster::Sandbox`] and ends
//! with the process. A test that needs it fails where there is none; it is never skipped.
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends at the first thing that is not as it must be"
)]

mod architecture;
mod cli;
mod cluster;
mod conditions;
mod docs;
mod examples;
mod install;
mod lifecycle;
mod manifests;
mod memory;
mod observability;
mod process;
mod proxy;
mod reach_provider;
mod security;
mod world;
