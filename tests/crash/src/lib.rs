//! Kills the operator, at every write and at any moment, and counts what that costs at the providers.
//!
//! The operator is the real program, as a process, with the rights of `config/rbac/role.yaml`. Between it and the API server, and
//! between it and the simulated providers, there are reverse proxies which count its writes in one order and kill it before or after
//! any of them.
//!
//! # The map of the crate
//! * `plane`: the control plane and a namespace for each life. `thing`: what is declared. `world`: one life's surroundings.
//! * `proxy`, `tap`, `program`: the way of a request, what happens at which write, the process.
//! * `board`, `oracle`, `totals`: what the objects say, what is true of the records, and what it adds up to.
//! * `sweep`: every write, both sides. `random`: at any moment. `stopped`: two operators, one stopped around its permit.
//! * `strangers`: what is there from the start, and nobody's to touch. `refreshes`: what a provider must have been asked to load.
//!
//! # Guarantees
//! * It listens and calls on loopback only.
//! * Only processes that it started are ever signalled, by their id.

pub mod board;
pub mod oracle;
pub mod plane;
pub mod program;
pub mod proxy;
pub mod random;
pub mod refreshes;
pub mod run;
pub mod stopped;
pub mod strangers;
pub mod sweep;
pub mod tap;
pub mod thing;
pub mod totals;
pub mod world;
