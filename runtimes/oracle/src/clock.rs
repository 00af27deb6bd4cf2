//! The one clock, and waiting for an instant of it.

use anyhow::Result;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::{ClockId as Clock, clock_gettime};
use std::time::Duration;

/// Nanoseconds of CLOCK_MONOTONIC.
pub(crate) fn now() -> u64 {
    read(Clock::CLOCK_MONOTONIC)
}

/// Nanoseconds of CPU that this thread has used.
pub(crate) fn thread_cpu() -> u64 {
    read(Clock::CLOCK_THREAD_CPUTIME_ID)
}

fn read(clock: Clock) -> u64 {
    // Neither clock can fail: every kernel has them, and they are never negative.
    clock_gettime(clock).map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// A timer that makes epoll return at an instant.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: TimerFd,
    /// What it is set to.
    set: Option<u64>,
}

impl Alarm {
    pub(crate) fn new() -> Result<Alarm> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(Alarm { timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?, set: None })
    }

    pub(crate) fn timer(&self) -> &TimerFd {
        &self.timer
    }

    /// Rings at `instant`, and at no other one.
    pub(crate) fn set(&mut self, instant: u64) -> Result<()> {
        if self.set != Some(instant) {
            let time = TimeSpec::from_duration(Duration::from_nanos(instant));
            self.timer.set(Expiration::OneShot(time), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            self.set = Some(instant);
        }
        Ok(())
    }
}
