//! The model: experiment files, workloads, what a person asks for, and the plan that comes of it.
//!
//! Pure but for reading files. What makes two rows comparable is decided in one place,
//! [`workload::Workload::id`].

pub mod blocks_of;
pub mod catalog;
mod factors;
pub mod file;
pub mod hosts;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod quantity;
pub mod request;
pub mod root;
pub mod search;
pub mod selection;
pub mod server;
pub mod suggest;
pub mod turns;
pub mod url;
pub mod version;
pub mod workload;
