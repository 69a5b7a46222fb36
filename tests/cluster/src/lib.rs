//! A real Kubernetes control plane on this machine: etcd, kube-apiserver and kube-controller-manager, for tests, demo and benchmarks.
//!
//! ```no_run
//! # async fn example() -> Result<(), tradewind_cluster::Error> {
//! let cluster = tradewind_cluster::Cluster::start("target/my-test".as_ref()).await?;
//! let namespaces = cluster.kubectl().args(["get", "namespaces"]).output().await;
//! # Ok(()) }
//! ```
//!
//! # Where it comes from, in this order
//! 1. `TRADEWIND_KUBECONFIG`: a kubeconfig of a cluster that is there already. Nothing is started; tests change that cluster at will.
//! 2. `KUBEBUILDER_ASSETS`: a folder with etcd, kube-apiserver, kube-controller-manager and kubectl.
//! 3. The build of an earlier run, in `target/controlplane`.
//! 4. `go build` in `tests/controlplane`, which takes several minutes once.
//!
//! # The map of the crate
//! * `find`: where the programs come from (four ways, in a fixed order), `build`: the last of them, `go build`. `tool`: helm,
//!   kubeconform and a jq, which are built the same way when a test asks for them.
//! * `cluster`: a control plane's life. `component`: the command lines. `material`: keys, certificates, tokens, policies.
//! * `running`: the child processes and what ends them, `process`: a process that can be told from a later one of the same id.
//! * `kubeconfig`: who may speak to the API server. `audit`: what was said to it.
//!
//! # Guarantees
//! * It listens on loopback only, on ports that were free.
//! * The children end with the process that started them, however that ends ([`Lifetime::Owner`]).
//! * Only processes that it started are ever ended, by id and start time.
//! * It never skips: no control plane is an [`Error`] that says how to get one.
//!
//! # Caveats
//! * The administrator's token is a constant and etcd asks for no password: whoever can run programs on this machine can read and write
//!   everything in it. Nothing real belongs there.
//! * There is no kubelet and no scheduler: pods stay Pending. Of the controllers, only those of [`Cluster`]'s documentation run.
//! * Starting and stopping needs `/proc`, so Linux. Elsewhere `TRADEWIND_KUBECONFIG` names a cluster that is there already.

mod audit;
mod build;
mod cluster;
mod component;
mod error;
mod find;
mod kubeconfig;
mod material;
mod process;
mod running;
mod tool;

pub use audit::{AuditLog, Event, Mark};
pub use cluster::{Cluster, Lifetime, Options, Status, default_dir, down, status};
pub use error::{Error, Result};
pub use find::{Found, PROGRAMS, Programs, Search};
pub use tool::Tool;
