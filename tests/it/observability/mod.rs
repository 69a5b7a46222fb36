//! What people and tools see of the operator from outside: metrics, and what is made of them.

mod dashboard;
mod firing;
mod health;
mod labels;
pub(crate) mod metrics;
mod queries;
mod rules;
mod tools;
