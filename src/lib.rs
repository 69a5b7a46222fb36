//! Tradewind: a Kubernetes operator that keeps commerce and accounting connections as declared.
#![forbid(unsafe_code)]

pub mod api;
pub mod cli;
pub mod domain;
pub mod engine;
pub mod provider;
pub mod serve;
pub mod settings;
pub mod telemetry;
