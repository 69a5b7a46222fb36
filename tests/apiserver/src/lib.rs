//! A Kubernetes API server in memory, for deterministic tests: no socket, no thread, no time but tokio's.
//!
//! An [`ApiServer`] is a handle to one set of objects. [`ApiServer::service`] is what a kube client speaks to; the verbs of
//! the handle itself are those of people and of the controllers of a cluster, and happen at once.
//!
//! # What it owns
//!
//! What a client of an API server can observe and an operator can stumble over: versions and conflicts, UIDs, generations,
//! finalizers, the status subresource, server-side apply, defaults, pruning and validation by the schema of a CRD, requests
//! that only try, metadata-only answers, pages, watches (also ones that lag), the garbage collector, and namespaces on their
//! way out.
//!
//! # What it must never do
//!
//! * Be kinder than a real one. The lifecycle tests run against both (`make test-memory`).
//! * Know anything about Tradewind.
//!
//! # What it does not do
//!
//! Authorization, admission, CEL, the validation of Kubernetes' own kinds and of metadata, and strategic merges: a test that is
//! about one of these needs a real one.

mod apply;
mod bounds;
mod clock;
mod collect;
mod fail;
mod handle;
mod kinds;
mod meta;
mod page;
mod request;
mod schema;
mod service;
mod state;
mod stored;
mod validate;
mod watch;
mod write;

pub use clock::Clock;
pub use fail::Failure;
pub use handle::ApiServer;
pub use kinds::Definition;
pub use service::{Answer, ApiService};
