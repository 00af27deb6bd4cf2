//! How servers take turns: the order of a group's slices.

use load::protocol::{PhaseTime, Piece};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom as _;
use std::time::Duration;

/// The part of the slices' time that goes into a continuous window of each server, and as much before it.
const CONTINUOUS: f64 = 1.0 / 8.0;
/// How long a server has nothing to do before it is seen what the first requests cost.
const IDLE: Duration = Duration::from_millis(250);

/// What one client does, piece by piece.
#[derive(Debug, Clone, PartialEq)]
pub struct Pieces {
    /// All of it, in its order.
    pub list: Vec<Piece>,
    /// How many parts each server's report has.
    pub parts: usize,
    /// The part that is a continuous window, where there is one.
    pub continuous: Option<usize>,
}

impl Pieces {
    /// How long all of it takes.
    pub fn time(&self) -> Duration {
        self.list.iter().map(|piece| piece.duration).sum()
    }

    /// How long requests are begun, lead-ins and all, on all servers together.
    pub fn load(&self) -> Duration {
        self.list.iter().filter(|piece| piece.scale > 0.0).map(|piece| piece.duration).sum()
    }
}

/// The turns of servers, each with its phases and rounds; one without phases has no turn. In each round all have
/// one, in an order that `seed` decides. Where a turn has a single measured phase, every server also has a
/// continuous window in the middle, as a check: an eighth of the slices one after the other, and as much time
/// before them.
pub fn in_rounds(servers: &[(Vec<PhaseTime>, usize)], seed: u64) -> Pieces {
    let measured = |phases: &[PhaseTime]| phases.iter().filter(|phase| phase.measured).count();
    let most = servers.iter().map(|(phases, _)| measured(phases)).max().unwrap_or(0);
    let pauses = |phases: &[PhaseTime]| phases.iter().any(|phase| phase.scale == 0.0);
    let checked = most == 1 && !servers.iter().any(|(phases, _)| pauses(phases));
    let rounds = servers.iter().map(|(_, rounds)| *rounds).max().unwrap_or(0);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..servers.len()).filter(|at| !servers[*at].0.is_empty()).collect();
    let mut list = Vec::new();
    if checked {
        // What a fresh process does once is in no slice.
        list.extend(order.iter().flat_map(|server| before(*server, &servers[*server])));
    }
    for round in 1..=rounds {
        order.shuffle(&mut rng);
        for server in &order {
            let (phases, rounds) = &servers[*server];
            if round <= *rounds {
                list.extend(turn(*server, round, phases));
            }
        }
        if checked && round == rounds.div_ceil(2) {
            order.shuffle(&mut rng);
            list.extend(order.iter().flat_map(|server| continuous(*server, &servers[*server], most)));
        }
    }
    Pieces { list, parts: most + usize::from(checked), continuous: checked.then_some(most) }
}

/// Rounds in which each of so many servers, after it had nothing to do, is loaded for these windows one after the
/// other.
pub fn after_idling(servers: usize, windows: &[Duration], rounds: usize, seed: u64) -> Pieces {
    let pause = PhaseTime { duration: IDLE, scale: 0.0, measured: false };
    let window = |duration: &Duration| PhaseTime { duration: *duration, scale: 1.0, measured: true };
    let phases: Vec<PhaseTime> = std::iter::once(pause).chain(windows.iter().map(window)).collect();
    in_rounds(&vec![(phases, rounds); servers], seed)
}

/// Whether a round is in the second half of so many.
pub fn is_second_half(round: usize, rounds: u64) -> bool {
    2 * round as u64 > rounds + 1
}

fn turn(server: usize, round: usize, phases: &[PhaseTime]) -> impl Iterator<Item = Piece> {
    let mut parts = 0..;
    phases.iter().filter(|phase| !phase.duration.is_zero()).map(move |phase| Piece {
        server,
        round,
        duration: phase.duration,
        scale: phase.scale,
        part: if phase.measured { parts.next() } else { None },
    })
}

/// A server's slices that make up the time of its continuous window: how many there are, and how long each is.
fn window((phases, rounds): &(Vec<PhaseTime>, usize)) -> (usize, Duration) {
    let slice = phases.iter().find(|phase| phase.measured).map_or(Duration::ZERO, |phase| phase.duration);
    (((*rounds as f64 * CONTINUOUS).round() as usize).max(1), slice)
}

/// A lead-in of a turn, and of the continuous window.
fn before(server: usize, plan: &(Vec<PhaseTime>, usize)) -> Option<Piece> {
    let (slices, slice) = window(plan);
    let lead_in: Duration = plan.0.iter().filter(|phase| !phase.measured).map(|phase| phase.duration).sum();
    let duration = lead_in + slice * u32::try_from(slices).unwrap_or(u32::MAX);
    Some(Piece { server, round: 0, duration, scale: 1.0, part: None })
}

fn continuous(server: usize, plan: &(Vec<PhaseTime>, usize), part: usize) -> impl Iterator<Item = Piece> {
    let (slices, duration) = window(plan);
    let slice = move |_| Piece { server, round: 0, duration, scale: 1.0, part: Some(part) };
    before(server, plan).into_iter().chain((0..slices).map(slice))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn phase(ms: u32, measured: bool) -> PhaseTime {
        PhaseTime { duration: ms * MS, scale: 1.0, measured }
    }

    fn time(pieces: &[&Piece]) -> Duration {
        pieces.iter().map(|piece| piece.duration).sum()
    }

    #[test]
    fn every_server_has_a_turn_in_every_round_in_an_order_of_its_own() {
        let plan = (vec![phase(5, false), phase(20, true)], 16);
        let pieces = in_rounds(&vec![plan; 3], 7);
        assert_eq!((pieces.parts, pieces.continuous), (2, Some(1)));
        let mut orders = Vec::new();
        for round in 1..=16 {
            let of_round: Vec<&Piece> = pieces.list.iter().filter(|piece| piece.round == round).collect();
            // A lead-in, then its slice.
            for turn in of_round.chunks(2) {
                assert_eq!(turn[0].server, turn[1].server);
                assert_eq!((turn[0].part, turn[0].duration), (None, 5 * MS));
                assert_eq!((turn[1].part, turn[1].duration), (Some(0), 20 * MS));
            }
            let mut order: Vec<usize> = of_round.chunks(2).map(|turn| turn[0].server).collect();
            orders.push(order.clone());
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2]);
        }
        orders.sort_unstable();
        orders.dedup();
        assert!(orders.len() > 3, "{orders:?}");
        assert_eq!(pieces, in_rounds(&vec![(vec![phase(5, false), phase(20, true)], 16); 3], 7));
        assert_ne!(pieces, in_rounds(&vec![(vec![phase(5, false), phase(20, true)], 16); 3], 8));
    }

    #[test]
    fn a_server_has_a_continuous_window_in_the_middle() {
        let plan = (vec![phase(5, false), phase(20, true)], 16);
        let pieces = in_rounds(&[plan], 1);
        let check: Vec<&Piece> = pieces.list.iter().filter(|piece| piece.part == Some(1)).collect();
        assert_eq!((check.len(), time(&check)), (2, 40 * MS));
        let at = pieces.list.iter().position(|piece| piece.part == Some(1)).expect("there is one");
        // As long before it, and a lead-in; its rounds lie around it.
        assert_eq!((pieces.list[at - 1].part, pieces.list[at - 1].duration), (None, 45 * MS));
        assert_eq!((pieces.list[at - 2].round, pieces.list[at + 2].round), (8, 9));
        assert_eq!((pieces.list[0].round, pieces.list[0].part), (0, None));
        assert_eq!(pieces.load(), (16 * 25 + 2 * 45 + 40) * MS);
    }

    #[test]
    fn a_turn_of_several_phases_or_pauses_has_no_other_window() {
        let pause = PhaseTime { scale: 0.0, ..phase(250, false) };
        let pieces = in_rounds(&[(vec![pause, phase(20, true), phase(30, true)], 2)], 1);
        assert_eq!((pieces.parts, pieces.continuous), (2, None));
        let parts: Vec<Option<usize>> = pieces.list.iter().map(|piece| piece.part).collect();
        assert_eq!(parts, [None, Some(0), Some(1), None, Some(0), Some(1)]);
        let after = after_idling(2, &[20 * MS, 30 * MS], 5, 1);
        assert_eq!((after.list.len(), after.parts), (2 * 5 * 3, 2));
    }

    #[test]
    fn one_that_cannot_be_asked_has_no_turn() {
        let pieces = in_rounds(&[(Vec::new(), 4), (vec![phase(20, true)], 4)], 1);
        assert!(pieces.list.iter().all(|piece| piece.server == 1));
        assert_eq!(in_rounds(&[], 1).list, []);
    }

    #[test]
    fn the_middle_round_of_an_odd_number_is_in_the_first_half() {
        let second = |rounds| (1..=rounds as usize).filter(|round| is_second_half(*round, rounds)).count();
        assert_eq!((second(1), second(4), second(5)), (0, 2, 2));
    }
}
