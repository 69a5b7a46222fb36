//! Tradewind: a Kubernetes operator that keeps commerce and accounting connections as declared.
#![forbid(unsafe_code)]

pub mod api;
pub mod domain;
