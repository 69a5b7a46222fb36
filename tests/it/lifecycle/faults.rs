//! What a provider may do to a request, and that one record comes of it all the same.
//!
//! Each test makes one thing go wrong and counts in the end what is at the provider. The pessimistic provider is the rule here: it
//! neither de-duplicates nor honours an idempotency key unless a test says so.

mod crash;
mod create;
mod delete;
mod read;
mod refusal;
mod stranger;
