//! The simulator from outside: every rule it holds its clients to, every way in which it lets them down.

mod arcus;
mod contract;
mod faults;
mod life;
mod link_page;
mod program;
mod refresh;
mod sku_io;
mod sockets;
mod support;
