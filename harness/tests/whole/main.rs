//! The whole program, as its users run it: one test program, so that it is linked once.

mod belief;
mod common;
mod compare;
mod count;
mod engine_faults;
mod experiments;
mod faults;
mod hosts;
mod installed;
mod merged;
mod resumed;
mod runs;
mod selftest;
mod servers;
mod turns;
mod until;
mod usage;
