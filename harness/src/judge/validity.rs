//! Which gate spoils which figure: a verdict speaks against figures, not against a row.
//!
//! What a gate does not spoil is used: in pairs, ranks and comparisons. Nothing that depends on a figure removes rows
//! from it: the rows that are left would be those with the better or the worse figures. Where a gate does depend on
//! the figure, its cell is left out as a whole or not at all. docs/methodology.md has the table, and a test holds it
//! to this one.

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

/// What a verdict means for a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spoils {
    /// The figure is used.
    Nothing,
    /// The row is no measurement of the figure, for a reason that does not depend on it.
    Row,
    /// The verdict depends on the figure. If more than half of the blocks of a cell have it the cell is left out;
    /// otherwise all of them are used.
    Cell,
}

/// Returns what a verdict means for a figure of servers that took turns.
///
/// What others use of the machine falls on all servers of a round alike: it cancels between them, and what is left
/// of it is in the interval. The tail of a latency it changes all the same.
pub fn spoils_in_turns(verdict: Verdict, figure: Figure) -> Spoils {
    match (verdict, figure) {
        (Verdict::NoisyHost, Figure::Throughput | Figure::Cpu | Figure::Memory) => Spoils::Nothing,
        _ => spoils(verdict, figure),
    }
}

/// Returns what a verdict means for a figure.
pub fn spoils(verdict: Verdict, figure: Figure) -> Spoils {
    use Spoils::{Cell, Nothing, Row};
    match (verdict, figure) {
        (Verdict::Ok, _) => Nothing,
        (Verdict::Failed | Verdict::Errors, _) => Row,
        // What others use of the machine and when a request was sent change no peak of memory by themselves; the
        // number of requests under way does, and that is the workload's.
        (Verdict::NoisyHost | Verdict::LateGenerator, Figure::Memory) => Nothing,
        (Verdict::NoisyHost | Verdict::LateGenerator, _) => Row,
        // The gate is about the throughput itself, and that is what was measured. What makes a block slow or dear
        // also makes it overloaded.
        (Verdict::Overloaded, Figure::Throughput) => Nothing,
        (Verdict::Overloaded, _) => Cell,
        // The client was the limit of the rate and had a part in the times; what the server spent on a request it
        // spent all the same. The gate asks for the throughput.
        (Verdict::ClientBound, Figure::Throughput | Figure::Latency) => Cell,
        (Verdict::ClientBound, Figure::Cpu | Figure::Memory) => Nothing,
        // Throughput, latency and what was under way contradict each other, whatever each of them is.
        (Verdict::LittleViolated, Figure::Throughput | Figure::Latency) => Row,
        (Verdict::LittleViolated, Figure::Cpu | Figure::Memory) => Nothing,
        (Verdict::NoSteadyState, Figure::Memory) => Nothing,
        (Verdict::NoSteadyState, _) => Cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray as _;

    /// The table as docs/methodology.md prints it.
    fn table() -> String {
        let mark = |verdict, figure| match spoils(verdict, figure) {
            Spoils::Nothing => "",
            Spoils::Row => "row",
            Spoils::Cell => "cell",
        };
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
        let spoiled = |verdict, spoils: fn(Verdict, Figure) -> Spoils| {
            let of = Figure::VARIANTS.iter().copied().filter(|f| spoils(verdict, *f) != Spoils::Nothing);
            of.collect::<Vec<_>>()
        };
        assert_eq!(spoiled(Verdict::NoisyHost, spoils_in_turns), [Figure::Latency]);
        for verdict in Verdict::VARIANTS.iter().filter(|verdict| **verdict != Verdict::NoisyHost) {
            assert_eq!(spoiled(*verdict, spoils_in_turns), spoiled(*verdict, spoils));
        }
    }

    #[test]
    fn a_row_is_good_for_what_its_gate_says_nothing_of() {
        assert_eq!(spoils(Verdict::ClientBound, Figure::Cpu), Spoils::Nothing);
        assert_eq!(spoils(Verdict::ClientBound, Figure::Throughput), Spoils::Cell);
        assert!(Figure::VARIANTS.iter().all(|figure| spoils(Verdict::Ok, *figure) == Spoils::Nothing));
        assert!(Figure::VARIANTS.iter().all(|figure| spoils(Verdict::Errors, *figure) == Spoils::Row));
    }
}
