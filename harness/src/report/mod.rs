//! What a person reads: the lines and the bar while a run goes on, the tables at its end.

pub mod comparison;
mod engine;
pub mod figures;
pub mod progress;
pub mod tables;
