//! What a number can be at the most, what bounded it, and whether to believe it.
//!
//! Everything here is arithmetic over [`facts::Facts`], so that each gate can be shown facts that trip it.
//! `docs/methodology.md` says where the thresholds come from.

pub mod bound;
pub mod ceiling;
pub mod facts;
pub mod gate;
pub mod gates;
pub mod lead_in;
pub mod steady;
pub mod validity;
pub mod verdict;
