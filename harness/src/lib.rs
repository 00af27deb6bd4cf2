//! The harness: runs every client strategy against every server, on every workload, and writes down what
//! came of it.
//!
//! Each module is a room, and imports only the rooms below it; `layering` tests that.
//!
//! | room | what lives there |
//! |---|---|
//! | [`cli`] | arguments; one file for each command |
//! | [`selftest`] | the harness against known answers |
//! | [`count`] | instructions, allocations and system calls of a request, counted |
//! | [`run`] | one run, from its plan to its rows |
//! | [`report`] | what people read: terminal, Markdown, HTML |
//! | [`analysis`] | from rows to statements: medians, pairs, ranks |
//! | [`record`] | what is on disk: columns, CSV, `run.json`, histograms |
//! | [`judge`] | from facts to the verdict on a row |
//! | [`agent`] | servers and clients on a host: started, attested, metered, ended |
//! | [`experiment`] | the model: servers, experiment files, workloads, the order of a run |
//! | [`verify`], [`host`] | the contract over a socket; the machine |
//!
//! Below them are the packages `load` (all that runs in a client process), `stats` (pure functions of numbers)
//! and `contract` (what servers have in common); [`exit`] belongs to no room. The coordinator, which is this
//! program without a hidden subcommand, generates no load and starts no process of a measurement but its agent; an
//! agent and a client are processes of their own. `CONTRIBUTING.md` says where something new goes.

pub mod agent;
pub mod analysis;
pub mod cli;
pub mod count;
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
