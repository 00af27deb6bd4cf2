//! The whole program, as its users run it: one test program, so that it is linked once.

mod belief;
mod common;
mod engine_faults;
mod faults;
mod runs;
mod selftest;
mod servers;
mod usage;
