//! Ctrl-C, SIGTERM and SIGHUP: finish the current row, then stop.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::exit::{Exit, tell};

/// Says whether the run was interrupted. Clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    measuring: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts to listen. Until [`Interrupt::measuring`] is called a signal ends the program at once, since
    /// there is nothing to keep; after that, the second one does. The children end with the program.
    ///
    /// # Errors
    /// The signal handlers cannot be installed.
    pub fn listen() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot install signal handlers")?;
        let seen = interrupt.clone();
        thread::spawn(move || {
            for _ in signals.forever() {
                let again = seen.requested.swap(true, Ordering::Relaxed);
                if again || !seen.measuring.load(Ordering::Relaxed) {
                    tell("interrupted");
                    std::process::exit(Exit::Interrupted as i32);
                }
                tell("interrupted: finishing the current row; once more to stop at once");
            }
        });
        Ok(interrupt)
    }

    /// From now on there are rows to keep.
    pub fn measuring(&self) {
        self.measuring.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}
