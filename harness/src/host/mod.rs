//! The machine one is on: its CPUs, its clocks, its addresses, its limits, what processes use of it, and facts about it.

pub mod addresses;
pub mod cpu_use;
pub mod cpus;
pub mod files;
pub mod machine;
pub mod usage;
