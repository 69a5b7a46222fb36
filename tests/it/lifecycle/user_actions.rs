//! What people do to an object, at any moment of its life: each ends in what they asked for, or in a question to them, and never in a
//! second record, a lost one, or a touched stranger.

mod ask;
mod delete;
mod edit;
mod forge;
mod loss;
mod replace;
mod restore;
