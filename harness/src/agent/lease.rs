//! How the two ends of a pipe over a network notice that the other one is gone: each says something every few
//! seconds, and gives up when it has heard nothing for some time. A pipe on one machine tells it by itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often something is said.
pub(super) const EVERY: Duration = Duration::from_secs(4);
/// How long nothing may be heard.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// When the other end was last heard.
#[derive(Debug)]
pub(super) struct Heard(Mutex<Instant>);

impl Heard {
    /// It is heard now.
    pub(super) fn now() -> Heard {
        Heard(Mutex::new(Instant::now()))
    }

    /// Notes that it is heard again.
    pub(super) fn again(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns true if it has not been heard for too long.
    pub(super) fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > LIMIT
    }
}
