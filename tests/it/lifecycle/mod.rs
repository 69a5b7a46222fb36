//! Whole lives of connections, with the operator between the real API server and the simulated provider.

mod bad_input;
mod budget;
mod expect;
mod faults;
mod life;
mod malformed;
mod platforms;
