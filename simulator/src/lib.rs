//! The provider APIs that Tradewind talks to, strict and pessimistic, for tests and for the demo.
//!
//! A [`Simulator`] is a handle to one set of simulated providers. The rules live in a pure core ([`State`]: state,
//! time and request in, reply out); axum and hyper only carry it. So the same rules answer
//!
//! * in process, as an axum [`Router`](axum::Router) ([`Simulator::router`]) or as a tower service that turns a lost
//!   answer into an `Err` ([`Simulator::in_process`]);
//! * on a real loopback socket ([`Simulator::serve`]), where a lost answer is a connection that closes without a byte;
//! * in the binary `tradewind-simulator`, together with the admin API under `/_sim/`
//!   ([`Simulator::router_with_admin`]).
//!
//! Beside the APIs there are pages for people with a browser, under `/_pages/`: where a merchant follows a link of Rutter,
//! and where somebody consents for Arcus.
//!
//! # What it owns
//!
//! What a provider would accept, refuse and answer; what goes wrong on the way ([`Fault`]); and the append-only
//! [journal](Entry) of what was asked.
//!
//! # What it must never do
//!
//! * Be kinder than the public references promise: mercies (de-duplication, idempotency) are off until switched on.
//! * Store or show a credential it was sent. Tokens that it *hands out* are invented here and guard nothing.
//! * Know anything about Kubernetes or about the operator.

mod admin;
pub mod arcus;
mod clock;
mod fault;
mod journal;
mod operation;
mod outcome;
mod page;
mod provider;
mod random;
pub mod rutter;
mod serve;
mod service;
mod simulator;
pub mod sku_io;
mod state;

pub use clock::{Clock, ManualClock};
pub use fault::{Effect, Fault};
pub use journal::{Entry, Stats};
pub use operation::Operation;
pub use outcome::{Delivery, Reply};
pub use provider::Provider;
pub use random::Random;
pub use serve::serve;
pub use service::{Broken, InProcess};
pub use simulator::{Setup, Simulator};
pub use state::{Admission, State, Ticket};
