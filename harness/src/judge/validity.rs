//! Which gate spoils which figure: a verdict speaks against figures, not against a row.
//!
//! What a gate does not spoil is used: in pairs, ranks and comparisons. docs/methodology.md has the table, and a test
//! holds it to this one.

use super::verdict::Verdict;

/// A kind of figure, as far as gates are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, strum::VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Figure {
    /// Right answers per second.
    Throughput,
    /// Times of requests.
    Latency,
    /// CPU time and context switches, per request.
    Cpu,
    /// Peak memory.
    Memory,
}

/// Whether a row with this verdict is no measurement of that figure, of servers that took turns.
///
/// What others use of the machine falls on all servers of a round alike: it cancels between them, and what is left
/// of it is in the interval. The tail of a latency it changes all the same.
pub fn spoils_in_turns(verdict: Verdict, figure: Figure) -> bool {
    let cancels = verdict == Verdict::NoisyHost && figure != Figure::Latency;
    !cancels && spoils(verdict, figure)
}

/// Whether a row with this verdict is no measurement of that figure.
pub fn spoils(verdict: Verdict, figure: Figure) -> bool {
    match (verdict, figure) {
        (Verdict::Ok, _) => false,
        (Verdict::Failed | Verdict::Errors, _) => true,
        // What others use of the machine, when a request was sent and how long the queue grew change no peak of
        // memory by themselves; the number of requests under way does, and that is the workload's.
        (Verdict::NoisyHost | Verdict::LateGenerator | Verdict::NoSteadyState, Figure::Memory) => false,
        (Verdict::NoisyHost | Verdict::LateGenerator | Verdict::NoSteadyState, _) => true,
        // The gate is about the throughput itself, and that is what was measured.
        (Verdict::Overloaded, Figure::Throughput) => false,
        (Verdict::Overloaded, _) => true,
        // The client was the limit of the rate and had a part in the times; what the server spent on a request it
        // spent all the same.
        (Verdict::ClientBound, Figure::Throughput | Figure::Latency) => true,
        (Verdict::ClientBound, Figure::Cpu | Figure::Memory) => false,
        // Throughput, latency and what was under way contradict each other.
        (Verdict::LittleViolated, Figure::Throughput | Figure::Latency) => true,
        (Verdict::LittleViolated, Figure::Cpu | Figure::Memory) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray as _;

    /// The table as docs/methodology.md prints it.
    fn table() -> String {
        let mark = |verdict, figure| if spoils(verdict, figure) { "spoils" } else { "" };
        let mut text = String::from("| verdict |");
        Figure::VARIANTS.iter().for_each(|figure| text.push_str(&format!(" {figure} |")));
        text.push_str("\n|---|---|---|---|---|\n");
        for verdict in Verdict::VARIANTS {
            let cells = Figure::VARIANTS.iter().map(|figure| format!(" {} |", mark(*verdict, *figure)));
            text.push_str(&format!("| `{}` |{}\n", verdict.name(), cells.collect::<String>()));
        }
        text
    }

    #[test]
    fn the_methodology_prints_the_table() {
        let path = crate::experiment::root::find().expect("a clone").join("docs/methodology.md");
        let text = std::fs::read_to_string(path).expect("docs/methodology.md");
        assert!(text.contains(&table()), "docs/methodology.md should have\n{}", table());
    }

    #[test]
    fn a_noisy_host_spoils_the_latency_of_servers_that_took_turns_and_nothing_else() {
        let spoiled = |verdict, spoils: fn(Verdict, Figure) -> bool| {
            let of = Figure::VARIANTS.iter().copied().filter(|figure| spoils(verdict, *figure));
            of.collect::<Vec<_>>()
        };
        assert_eq!(spoiled(Verdict::NoisyHost, spoils_in_turns), [Figure::Latency]);
        for verdict in Verdict::VARIANTS.iter().filter(|verdict| **verdict != Verdict::NoisyHost) {
            assert_eq!(spoiled(*verdict, spoils_in_turns), spoiled(*verdict, spoils));
        }
    }

    #[test]
    fn a_row_is_good_for_what_its_gate_says_nothing_of() {
        assert!(
            !spoils(Verdict::ClientBound, Figure::Cpu) && spoils(Verdict::ClientBound, Figure::Throughput)
        );
        assert!(Figure::VARIANTS.iter().all(|figure| !spoils(Verdict::Ok, *figure)));
        assert!(Figure::VARIANTS.iter().all(|figure| spoils(Verdict::Errors, *figure)));
    }
}
