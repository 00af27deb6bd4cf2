//! The harness: runs every client strategy against every server, on every workload, and writes down what
//! came of it.
//!
//! Each module is a room that imports only those to its right: cli › selftest › run › report › analysis ›
//! record › judge › agent › experiment › verify, host. Below them are the packages `load`, `stats` and
//! `contract`; [`exit`] belongs to no room. `layering` tests it. The coordinator (this program without a
//! hidden subcommand) generates no load; a client is a process of its own.

pub mod agent;
pub mod analysis;
pub mod cli;
pub mod exit;
pub mod experiment;
pub mod host;
pub mod judge;
#[cfg(test)]
mod layering;
pub mod record;
pub mod report;
pub mod run;
pub mod selftest;
pub mod verify;
