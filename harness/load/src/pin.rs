//! Which CPUs a thread may run on.

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Lets the calling thread, and the threads and processes that it starts from now on, run on `cpus` only.
///
/// # Errors
/// The kernel's: there is no such CPU, for one.
pub fn pin_this_thread(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|cpu| set.set(*cpu)).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
}
