//! Sets of CPUs: written as text, given to threads, and read back from what runs.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::fmt;
use std::str::FromStr;

/// A set of CPUs, in order. Written `0 2 3` in result files: a spreadsheet takes `2-3` for a date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

impl Cpus {
    /// These CPUs.
    pub fn new(cpus: impl IntoIterator<Item = usize>) -> Cpus {
        let mut cpus: Vec<usize> = cpus.into_iter().collect();
        cpus.sort_unstable();
        cpus.dedup();
        Cpus(cpus)
    }

    /// The CPUs the calling thread may run on.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn allowed() -> Result<Cpus, String> {
        let set = sched_getaffinity(Pid::from_raw(0)).map_err(|error| format!("no affinity: {error}"))?;
        Ok(Cpus::new((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false))))
    }

    /// Lets the calling thread, and what it starts from now on, run on these CPUs only.
    ///
    /// # Errors
    /// In words: there is no such CPU, for one.
    pub fn pin_this_thread(&self) -> Result<(), String> {
        let mut set = CpuSet::new();
        let done = self
            .0
            .iter()
            .try_for_each(|cpu| set.set(*cpu))
            .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
        done.map_err(|error| format!("cannot run on CPU {self}: {error}"))
    }

    /// Their numbers.
    pub fn list(&self) -> &[usize] {
        &self.0
    }

    /// Whether none is shared with `other`.
    pub fn is_disjoint(&self, other: &Cpus) -> bool {
        !self.0.iter().any(|cpu| other.0.contains(cpu))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&numbers.join(" "))
    }
}

impl FromStr for Cpus {
    type Err = String;

    /// As the kernel writes them: `0-1,3`.
    fn from_str(text: &str) -> Result<Cpus, String> {
        let wrong = || format!("'{text}': give CPUs by their numbers, as in 0 or 0,2-3");
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
            let (first, last) = (number(first)?, number(last)?);
            if first > last || last >= CpuSet::count() {
                return Err(wrong());
            }
            cpus.extend(first..=last);
        }
        Ok(Cpus::new(cpus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_the_kernel_writes_them() {
        for (text, cpus) in [("0", vec![0]), ("0-1", vec![0, 1]), ("3,0-1,1", vec![0, 1, 3])] {
            assert_eq!(text.parse(), Ok(Cpus::new(cpus)), "{text}");
        }
        for wrong in ["", "x", "1-0", "-1", "0,", "99999999"] {
            assert!(wrong.parse::<Cpus>().expect_err(wrong).contains("as in 0"), "{wrong}");
        }
        assert_eq!(Cpus::new([3, 0]).to_string(), "0 3");
    }

    #[test]
    fn a_pinned_thread_runs_where_it_is_told() {
        let all = Cpus::allowed().expect("affinity");
        let one = Cpus::new(all.list().last().copied());
        let (seen, pinned) = (one.clone(), one.clone());
        std::thread::spawn(move || {
            pinned.pin_this_thread().expect("allowed");
            assert_eq!(Cpus::allowed().expect("affinity"), seen);
        })
        .join()
        .expect("pinned");
        assert_eq!(Cpus::allowed().expect("affinity"), all);
        assert!(Cpus::default().pin_this_thread().is_err());
        assert!(one.is_disjoint(&Cpus::new([one.list()[0] + 1])));
    }
}
