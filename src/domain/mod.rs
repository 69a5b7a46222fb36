//! What is true and what follows from it: creation state, authorship, claims, the decision, verdicts, conditions.
//!
//! Pure: values in, values out. It must never hold a clock, a client, a future or any other effect; what it needs
//! to know of the world is handed to it as [`facts::Facts`].

pub mod advice;
pub mod claims;
pub mod conditions;
pub mod connectors;
pub mod credentials;
pub mod dates;
pub mod decide;
pub mod deletions;
pub mod diff;
pub mod facts;
pub mod health;
pub mod ids;
pub mod instances;
pub mod intent;
pub mod reason;
pub mod refresh;
pub mod request;
pub mod resolution;
pub mod rules;
pub mod schedule;
pub mod step;
pub mod stores;
pub mod text;
pub mod validate;
pub mod verdict;
pub mod writes;
