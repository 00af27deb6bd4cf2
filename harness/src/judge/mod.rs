//! What a number can be at the most, and why.

pub mod ceiling;
