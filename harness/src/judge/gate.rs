//! The answer of a gate.

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// It is not for cells of this kind.
    NotForThis,
    /// It cannot say: what it needs was not measured.
    NoInput,
    /// Nothing is wrong.
    Passes,
    /// Something is: the figures.
    Trips(String),
}
