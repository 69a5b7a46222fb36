//! Whole lives of connections, with the operator between the real API server and the simulated provider.

pub(crate) mod accounts;
mod another_server;
mod api_server;
mod arcus;
mod bad_input;
mod browser;
mod budget;
mod deletion;
mod expect;
mod faults;
mod guard;
mod health;
pub(crate) mod instances;
mod life;
mod link;
mod malformed;
mod neighbours;
mod platforms;
mod recovery;
mod refresh;
mod rotation;
pub(crate) mod tenancy;
mod user_actions;
mod writes;
