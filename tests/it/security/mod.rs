//! The security model, attacked: what `docs/security.md` promises, each against somebody who tries the opposite.
//!
//! It owns the hostile provider. It must never show a threat by a mock of our own side: the operator under attack is the whole one.

mod answers;
mod canaries;
mod hostile;
mod manifests;
mod reach;
mod references;
mod tenants;
