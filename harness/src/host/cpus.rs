//! Sets of CPUs: written as text, given to threads, and read back from what runs.

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A set of CPUs, in order. Written `0 2 3`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
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
        Ok(Cpus::in_set(&set))
    }

    /// All CPUs of this machine that are on, whoever may use them; none where the kernel does not say.
    pub fn online() -> Cpus {
        let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        text.trim().parse().unwrap_or_default()
    }

    /// Lets the calling thread, and what it starts from now on, run on these CPUs only.
    ///
    /// # Errors
    /// In words: there is no such CPU, for one.
    pub fn pin_this_thread(&self) -> Result<(), String> {
        load::pin_this_thread(&self.0).map_err(|error| format!("cannot run on CPU {self}: {error}"))
    }

    /// Does `work` with the calling thread on these CPUs, so that a child it starts is on them from its
    /// first instruction. Afterwards the thread is where it was, whatever became of `work`.
    ///
    /// # Errors
    /// In words: there is no such CPU, for one. Then `work` is not done.
    pub fn while_pinned<T>(&self, work: impl FnOnce() -> T) -> Result<T, String> {
        let _back = Back(Cpus::allowed()?);
        self.pin_this_thread()?;
        Ok(work())
    }

    /// The CPUs that the thread `tid` may run on; `None` if it has ended.
    pub fn of_thread(tid: i32) -> Option<Cpus> {
        Some(Cpus::in_set(&sched_getaffinity(Pid::from_raw(tid)).ok()?))
    }

    fn in_set(set: &CpuSet) -> Cpus {
        Cpus::new((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)))
    }

    /// Those of either set.
    #[must_use]
    pub fn with(&self, other: &Cpus) -> Cpus {
        Cpus::new(self.0.iter().chain(&other.0).copied())
    }

    /// Those that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Cpus) -> Cpus {
        Cpus::new(self.0.iter().copied().filter(|cpu| !other.0.contains(cpu)))
    }

    /// Whether `other` has all of them.
    pub fn is_within(&self, other: &Cpus) -> bool {
        self.without(other).0.is_empty()
    }

    /// As they stand in result files: `cpu 0 2 3`. Readers take `0` for a number, and `2-3` for a date.
    pub fn words(&self) -> String {
        format!("cpu {self}")
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

/// Puts the thread that drops it back on its CPUs.
struct Back(Cpus);

impl Drop for Back {
    fn drop(&mut self) {
        // It was there a moment ago; if the CPU has been taken away meanwhile the kernel has moved it.
        _ = self.0.pin_this_thread();
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
    fn sets_are_joined_and_compared() {
        let (low, high) = (Cpus::new([0, 1]), Cpus::new([1, 2]));
        assert_eq!(low.with(&high), Cpus::new([0, 1, 2]));
        assert_eq!(low.without(&high), Cpus::new([0]));
        assert!(low.is_within(&low.with(&high)) && !low.is_within(&high));
        assert!(!low.is_disjoint(&high) && low.is_disjoint(&Cpus::new([2])));
    }

    #[test]
    fn a_thread_is_back_on_its_cpus_whatever_happens_while_it_is_pinned() {
        let all = Cpus::allowed().expect("affinity");
        let one = Cpus::new(all.list().last().copied());
        let seen = one.while_pinned(Cpus::allowed).expect("allowed");
        assert_eq!((seen, Cpus::allowed()), (Ok(one.clone()), Ok(all.clone())));
        let unwound = std::panic::catch_unwind(|| one.while_pinned(|| panic!("on purpose")));
        assert!(unwound.is_err());
        assert!(Cpus::default().while_pinned(|| ()).is_err());
        assert_eq!(Cpus::allowed(), Ok(all.clone()));
        let own = nix::unistd::gettid().as_raw();
        assert_eq!((Cpus::of_thread(own), Cpus::of_thread(i32::MAX)), (Some(all), None));
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
