//! The whole program, as its users run it: one test program, so that it is linked once.

mod belief;
mod common;
mod compare;
mod faults;
mod runs;
mod servers;
mod usage;
