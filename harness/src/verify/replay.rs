//! One case in all its modes: sent whole, cut in two at every place, and byte by byte.

use super::check::{Difference, show};
use super::client::{Connection, Next};
use super::findings::{Aspect, Mismatch, Mode};
use super::options::{Level, Replay};
use super::session::Session;
use anyhow::Result;
use contract::transcript::{Case, Payload, Split, Step};
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

/// Between the two parts of a request, so that the server sees the first by itself. Nothing depends
/// on it: a server that sees both at once has merely been asked an easier question.
const BETWEEN_PARTS: Duration = Duration::from_millis(8);

/// How many places of a case are tried at a time, each on a connection of its own: with a few cases at
/// a time that stays below the usual limit of 1024 open files.
const PLACES_AT_A_TIME: usize = 64;

/// A longer payload is not sent byte by byte.
const LONGEST_BYTEWISE: usize = 4096;

/// How often a case is played if this machine is too busy for its pauses.
const ATTEMPTS: usize = 3;

impl Replay<'_> {
    /// Replays a case in the modes of this level: one mismatch for each aspect that differs.
    pub(super) fn case(&self, case: &Case) -> Vec<Mismatch> {
        let mut found: Vec<Mismatch> = Vec::new();
        for modes in modes(case, self.level) {
            for (mode, difference) in self.together(case, &modes) {
                let Difference { aspect, expected, got } = difference;
                if !found.iter().any(|mismatch| mismatch.aspect == aspect) {
                    found.push(Mismatch { case: case.name.clone(), mode, aspect, expected, got });
                }
            }
            // Each mode would wait just as long for what does not come.
            let stuck = |m: &Mismatch| matches!(m.aspect, Aspect::Responses | Aspect::Connection);
            if found.iter().any(stuck) {
                break;
            }
        }
        found
    }

    /// Plays a case in several modes at a time, on a connection each.
    fn together(&self, case: &Case, modes: &[Mode]) -> Vec<(Mode, Difference)> {
        let mut found = Vec::new();
        for _attempt in 0..ATTEMPTS {
            found.clear();
            let mut late = false;
            match self.play(case, modes, &mut found) {
                Ok(was_late) => late = was_late,
                Err(error) => {
                    let got = format!("{error:#}");
                    let difference = Difference::new(Aspect::Connection, "one that can be used", got);
                    found.push((modes[0], difference));
                }
            }
            if found.is_empty() || !late {
                break;
            }
        }
        found
    }

    /// Says whether this machine was too busy to play the case as it is written.
    fn play(&self, case: &Case, modes: &[Mode], found: &mut Vec<(Mode, Difference)>) -> Result<bool> {
        let count = if self.level == Level::Replies { 0 } else { case.bystanders };
        let mut bystanders = Vec::with_capacity(count);
        for _ in 0..count {
            bystanders.push(Connection::open(self.addr, self.patience)?);
        }
        found.extend(self.ask(&mut bystanders).map(|difference| (modes[0], difference)));

        let mut sessions = Vec::with_capacity(modes.len());
        for mode in modes {
            let mut session = Session::open(self, case, *mode)?;
            session.begin();
            sessions.push((*mode, session));
        }
        if modes.iter().any(|mode| matches!(mode, Mode::Split(_))) {
            thread::sleep(BETWEEN_PARTS);
        }
        for (_, session) in &mut sessions {
            session.go_on()?;
        }
        let started = Instant::now();
        let mut late = false;
        for (mode, session) in sessions {
            let (differences, was_late) = session.finish(started)?;
            late |= was_late;
            found.extend(differences.into_iter().map(|difference| (mode, difference)));
        }

        found.extend(self.ask(&mut bystanders).map(|difference| (modes[0], difference)));
        Ok(late)
    }

    /// Whether all bystanders are answered.
    pub(super) fn ask(&self, bystanders: &mut [Connection]) -> Option<Difference> {
        let deadline = Instant::now() + self.patience;
        for connection in bystanders.iter_mut() {
            connection.send(self.probe.send.as_bytes());
        }
        for connection in bystanders {
            let got = match connection.next(false, deadline) {
                Next::Reply(reply) if self.is_probes(&reply) => continue,
                Next::Reply(reply) => reply.status_line,
                Next::Garbage(bytes) => show(&bytes),
                Next::End(_) => "a closed one".to_owned(),
                Next::Nothing(_) => "one that is not".to_owned(),
            };
            return Some(Difference::new(Aspect::Bystanders, "another connection that is answered", got));
        }
        None
    }
}

/// The modes of a case, in groups that are played together.
fn modes(case: &Case, level: Level) -> Vec<Vec<Mode>> {
    let mut groups = vec![vec![Mode::Whole]];
    if let (Level::Full, Some(Step::Send(payload))) = (level, case.steps.first()) {
        let places: Vec<Mode> = places(payload, case.split).into_iter().map(Mode::Split).collect();
        groups.extend(places.chunks(PLACES_AT_A_TIME).map(<[Mode]>::to_vec));
        if case.split != Split::Never && payload.bytes.len() <= LONGEST_BYTEWISE {
            groups.push(vec![Mode::Bytewise]);
        }
    }
    groups
}

/// Where a payload is cut in two.
fn places(payload: &Payload, split: Split) -> BTreeSet<usize> {
    let length = payload.bytes.len();
    let mut places = BTreeSet::new();
    match split {
        Split::Never => {}
        Split::Every => places.extend(1..length),
        Split::Sample => {
            let blank_lines = payload.bytes.windows(4).enumerate().filter(|(_, four)| *four == b"\r\n\r\n");
            let around = payload.joints.iter().copied().chain(blank_lines.map(|(at, _)| at + 2));
            for place in around.take(PLACES_AT_A_TIME / 4) {
                places.extend(place.saturating_sub(2)..=place + 2);
            }
            places.extend((1..8).map(|eighth| length * eighth / 8));
            places.extend([1, length.saturating_sub(1)]);
            places.retain(|place| (1..length).contains(place));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_inside() {
        let payload = Payload { bytes: b"abc".to_vec(), joints: vec![0, 3] };
        assert_eq!(places(&payload, Split::Every), BTreeSet::from([1, 2]));
        assert_eq!(places(&payload, Split::Sample), BTreeSet::from([1, 2]));
        assert!(places(&payload, Split::Never).is_empty());
        assert!(places(&Payload::default(), Split::Every).is_empty());
    }

    #[test]
    fn a_sample_is_small_and_has_the_joints() {
        let payload = Payload { bytes: vec![b'a'; 300_000], joints: vec![40, 299_990] };
        let places = places(&payload, Split::Sample);
        assert!(places.len() < 30 && places.contains(&40) && places.contains(&299_989));
    }
}
