//! The harness: runs every client strategy against every server, on every workload, and writes down what
//! came of it.
//!
//! Data go one way: catalog → plan → process → load → outcome → judge → report. The coordinator (this
//! program without a hidden subcommand) generates no load; a client is a process of its own.

pub mod catalog;
pub mod cli;
pub mod commands;
pub mod exit;
pub mod interrupt;
pub mod judge;
pub mod load;
pub mod outcome;
pub mod plan;
pub mod process;
pub mod profile;
pub mod replicate;
pub mod report;
pub mod root;
pub mod selection;
pub mod selftest;
pub mod sequence;
pub mod stats;
pub mod subject;
pub mod suggest;
pub mod verify;
