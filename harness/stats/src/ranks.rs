//! The ranks that the verdicts of a table leave possible: "2–4".

use super::difference::{Better, Difference};
use std::collections::BTreeSet;
use std::fmt;

/// The best and the worst place a server can have, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// 1 + the number of servers established to be better.
    pub best: usize,
    /// The number of ranked servers − the number established to be worse.
    pub worst: usize,
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.best == self.worst {
            true => write!(f, "{}", self.best),
            false => write!(f, "{}–{}", self.best, self.worst),
        }
    }
}

/// The rank interval of every server; `None` for one without a comparable value, which takes no place.
///
/// `comparable[i]` says whether server `i` has a value; each of `pairs` is servers `(a, b)` and the verdict
/// on `a` over `b`. Only [`Difference::Lower`] and [`Difference::Higher`] establish anything: to be equivalent is
/// not to be equal, and may not be chained from pair to pair. Pairs with a server that takes no place, or of
/// a server with itself, count for nothing.
pub fn ranks(comparable: &[bool], pairs: &[(usize, usize, Difference)], better: Better) -> Vec<Option<Rank>> {
    let ranked = |server: usize| comparable.get(server) == Some(&true);
    let established: BTreeSet<(usize, usize)> = pairs
        .iter()
        .filter(|(a, b, _)| ranked(*a) && ranked(*b) && a != b)
        .filter_map(|&(a, b, verdict)| match (verdict, better) {
            (Difference::Lower, Better::Lower) | (Difference::Higher, Better::Higher) => Some((a, b)),
            (Difference::Lower, Better::Higher) | (Difference::Higher, Better::Lower) => Some((b, a)),
            (Difference::Equivalent | Difference::Inconclusive, _) => None,
        })
        .collect();
    let places = comparable.iter().filter(|comparable| **comparable).count();
    (0..comparable.len())
        .map(|server| {
            let above = established.iter().filter(|(_, worse)| *worse == server).count();
            let below = established.iter().filter(|(better, _)| *better == server).count();
            ranked(server).then(|| Rank { best: 1 + above, worst: places - below })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Difference::{Equivalent, Higher, Inconclusive, Lower};

    fn shown(comparable: &[bool], pairs: &[(usize, usize, Difference)], better: Better) -> Vec<String> {
        let ranks = ranks(comparable, pairs, better);
        ranks.iter().map(|rank| rank.map_or("-".to_owned(), |rank| rank.to_string())).collect()
    }

    #[test]
    fn verdicts_leave_an_interval_of_ranks() {
        // 0 is lower than 2 and 3, 1 than 3.
        let pairs = [
            (0, 1, Inconclusive),
            (0, 2, Lower),
            (0, 3, Lower),
            (1, 2, Equivalent),
            (3, 1, Higher),
            (2, 3, Inconclusive),
        ];
        assert_eq!(shown(&[true; 4], &pairs, Better::Lower), ["1–2", "1–3", "2–4", "3–4"]);
        assert_eq!(shown(&[true; 4], &pairs, Better::Higher), ["3–4", "2–4", "1–3", "1–2"]);
    }

    #[test]
    fn without_a_verdict_every_place_is_possible() {
        assert_eq!(shown(&[true; 3], &[], Better::Lower), ["1–3"; 3]);
        assert_eq!(shown(&[true], &[], Better::Lower), ["1"]);
        assert_eq!(shown(&[], &[], Better::Lower), [""; 0]);
    }

    #[test]
    fn all_established_is_an_order() {
        let pairs = [(0, 1, Higher), (0, 2, Higher), (1, 2, Higher)];
        assert_eq!(shown(&[true; 3], &pairs, Better::Higher), ["1", "2", "3"]);
    }

    #[test]
    fn a_server_without_a_value_takes_no_place() {
        let pairs = [(0, 1, Lower), (1, 2, Lower), (0, 2, Lower), (0, 9, Lower), (0, 0, Lower)];
        assert_eq!(shown(&[true, false, true], &pairs, Better::Lower), ["1", "-", "2"]);
        // Told twice is established once.
        let twice = [(0, 1, Lower), (1, 0, Higher)];
        assert_eq!(shown(&[true; 3], &twice, Better::Lower), ["1–2", "2–3", "1–3"]);
    }
}
