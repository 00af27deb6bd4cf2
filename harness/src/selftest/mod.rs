//! The harness against known answers: what a server whose every answer time is known must be measured as.

pub mod formulas;
