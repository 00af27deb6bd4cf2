//! What one worker has counted: the fates and latencies of each measured phase, and how many requests were
//! under way in it.

use super::job::Job;
use super::part::Part;
use super::request::Request;
use crate::fate::Fate;
use crate::protocol::{Fates, Mutation, PartReport};
use std::time::Duration;

/// The record of one worker, or of all. A request belongs to the phase in which it is due.
#[derive(Debug)]
pub(super) struct Record {
    parts: Vec<Part>,
    /// The part that time has come to: all before it have ended.
    current: usize,
    pub(super) first_error: Option<String>,
    in_flight: u64,
    /// Until when requests under way have been counted.
    counted_until: u64,
    mutation: Option<Mutation>,
    background: bool,
    has_open_end: bool,
}

impl Record {
    pub(super) fn new(job: &Job) -> Record {
        Record {
            parts: job.measured.iter().map(|span| Part::new(*span, job)).collect(),
            current: 0,
            first_error: None,
            in_flight: 0,
            counted_until: 0,
            mutation: job.mutation,
            background: job.background,
            has_open_end: job.has_open_end(),
        }
    }

    /// The part whose phase this time is in, if it is in a measured one.
    fn at(&mut self, time: u64) -> Option<&mut Part> {
        self.parts.iter_mut().find(|part| part.span.contains(time))
    }

    /// A connection is opened. It counts for the phase, or for the next one.
    pub(super) fn connected(&mut self, now: u64) {
        self.count_until(now);
        let last = self.parts.len() - 1;
        self.parts[self.current.min(last)].connects += 1;
    }

    /// A request is taken up.
    pub(super) fn began(&mut self, due: u64, now: u64) {
        self.count_until(now);
        self.in_flight += 1;
        if let Some(part) = self.at(due) {
            part.began(due);
        }
    }

    /// A request ends.
    pub(super) fn ended(&mut self, request: &Request, fate: &Fate, now: u64) {
        self.count_until(now);
        self.in_flight -= 1;
        let fate = match (fate, self.mutation) {
            (Fate::BadStatus { .. }, Some(Mutation::AnyStatus)) => &Fate::Ok,
            _ => fate,
        };
        if *fate == Fate::Ok
            && let Some(part) = self.at(now)
        {
            part.completed(now);
        }
        let Some(part) = self.at(request.due) else { return };
        part.ended(request, fate, now);
        // To be under way when it is stopped is what a load in the background is for.
        let harmless = *fate == Fate::Ok || (self.background && *fate == Fate::InFlight);
        if !harmless && self.first_error.is_none() {
            self.first_error = Some(fate.to_string());
        }
    }

    /// Counts how many requests have been under way since the last time.
    fn count_until(&mut self, now: u64) {
        for part in &mut self.parts[self.current..] {
            part.under_way(self.in_flight, self.counted_until, now);
            if now < part.span.end {
                break;
            }
            self.current += 1;
        }
        self.counted_until = now;
    }

    /// Time that went into spinning.
    pub(super) fn spun(&mut self, from: u64, to: u64) {
        for part in &mut self.parts[self.current..] {
            part.spun(from, to);
            if to < part.span.end {
                break;
            }
        }
    }

    /// The load ends.
    pub(super) fn end(&mut self, now: u64) {
        self.count_until(now);
        if self.has_open_end {
            // Its only phase has had no end.
            self.parts.iter_mut().for_each(|part| part.span.end = now);
        }
    }

    /// Forgets the requests that have no fate: a deliberate fault.
    pub(super) fn forget(&mut self) {
        self.parts.iter_mut().for_each(Part::forget);
    }

    /// Adds another worker's.
    ///
    /// # Errors
    /// Histograms that do not fit together: both are of the same load, so they do.
    pub(super) fn add(&mut self, other: Record) -> Result<(), String> {
        self.first_error = self.first_error.take().or(other.first_error);
        self.parts.iter_mut().zip(&other.parts).try_for_each(|(mine, its)| mine.add(its))
    }

    /// Adds a piece of the same load that came after it.
    ///
    /// # Errors
    /// Histograms that do not fit together: both are of the same load, so they do.
    pub(super) fn append(&mut self, later: Record) -> Result<(), String> {
        self.first_error = self.first_error.take().or(later.first_error);
        self.parts.iter_mut().zip(&later.parts).try_for_each(|(mine, its)| mine.append(its))
    }

    /// What there is of its only part, where it is of a load in pieces: right answers, and how long it took.
    pub(super) fn answered(&self) -> (u64, Duration) {
        let part = &self.parts[0];
        (part.fates().ok, Duration::from_nanos(part.span.length()))
    }

    /// Says when no more requests become due, of a load in pieces.
    pub(super) fn due_until(&mut self, end: u64) {
        self.parts[0].due_until = end;
    }

    /// Where the requests went, of a load in pieces, and how many were answered rightly when no more were due.
    pub(super) fn fates(&self) -> (&Fates, u64) {
        (self.parts[0].fates(), self.parts[0].late())
    }

    /// Connections that were opened, of a load in pieces.
    pub(super) fn connects(&mut self) -> &mut u64 {
        &mut self.parts[0].connects
    }

    /// The reports of the phases. `cpu` is the client's CPU time at the beginning, half and end of one
    /// after the other, as far as the load came.
    ///
    /// # Errors
    /// A histogram cannot be encoded; none of times is like that.
    pub(super) fn report(&self, driver: &str, cpu: &[Duration]) -> Result<Vec<PartReport>, String> {
        let cpu = cpu.chunks(3).chain(std::iter::repeat(&[][..]));
        self.parts.iter().zip(cpu).map(|(part, cpu)| part.report(driver, cpu)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{closed, in_phases, open, order};
    use super::*;
    use crate::protocol::{Expect, ExpectBody};
    use crate::tally::{Answer, Queue};

    const MS: u64 = 1_000_000;

    fn record() -> Record {
        let load = in_phases(open(1000.0, 1), &[(10, 1.0, false), (10, 1.0, true), (10, 5.0, true)]);
        Record::new(&Job::new(&order(([127, 0, 0, 1], 1).into(), &load, 1000)).expect("valid"))
    }

    /// Records a request that was due at `due` and ended so at `end`, both in ms.
    fn request(record: &mut Record, due: u64, end: u64, fate: &Fate) {
        let (due, end) = (due * MS, end * MS);
        record.began(due, due);
        record.ended(&Request { due, taken: due, sent: due }, fate, end);
    }

    #[test]
    fn a_request_belongs_to_the_phase_in_which_it_is_due() {
        let mut record = record();
        for (due, end, fate) in [
            (1, 2, Fate::Ok),
            (5, 12, Fate::Ok),
            (15, 16, Fate::BadBody("x".into())),
            (16, 25, Fate::Ok),
            (21, 22, Fate::Ok),
            (25, 40, Fate::Ok),
            (29, 41, Fate::TimedOut),
        ] {
            request(&mut record, due, end, &fate);
        }
        let parts = record.report("epoll", &[]).expect("encodes");
        let fates: Vec<Fates> = parts.iter().map(|part| part.fates).collect();
        let expected = [
            Fates { scheduled: 2, ok: 1, bad_body: 1, ..Fates::default() },
            Fates { scheduled: 3, ok: 2, timed_out: 1, ..Fates::default() },
        ];
        assert_eq!(fates, expected);
        let halves: Vec<_> =
            parts.iter().map(|part| part.engine.as_ref().expect("the engine's").halves).collect();
        let counts = |of: fn(&crate::protocol::Half) -> u64| -> Vec<[u64; 2]> {
            halves.iter().map(|halves| [of(&halves[0]), of(&halves[1])]).collect()
        };
        assert_eq!(counts(|half| half.due), [[0, 2], [1, 2]]);
        // By when they ended: the warm-up's second one, and that of the phase before.
        assert_eq!(counts(|half| half.completed), [[1, 0], [1, 1]]);
        let latencies: Vec<[u128; 2]> =
            halves.iter().map(|halves| halves.map(|half| half.latency_mean_ns as u128)).collect();
        // By when they were due, and the right answers alone.
        let ms = u128::from(MS);
        assert_eq!(latencies, [[0, 9 * ms], [ms, 15 * ms]]);
        assert_eq!(parts.iter().map(|part| part.elapsed.as_millis()).collect::<Vec<_>>(), [15, 21]);
    }

    #[test]
    fn requests_under_way_spinning_and_connections_are_shared_out_by_time() {
        let mut record = record();
        record.connected(0);
        record.connected(15 * MS);
        record.connected(20 * MS);
        record.spun(21 * MS, 23 * MS);
        let mut record2 = self::record();
        request(&mut record2, 5, 35, &Fate::Ok);
        record2.spun(35 * MS, 36 * MS);
        record.add(record2).expect("the same phases");
        let parts = record.report("epoll", &[]).expect("encodes");
        assert_eq!(parts.iter().map(|part| part.in_flight_mean).collect::<Vec<_>>(), [Some(1.0); 2]);
        assert_eq!(parts.iter().map(|part| part.connects).collect::<Vec<_>>(), [2, 1]);
        let spins = parts.iter().map(|part| part.engine.as_ref().map(|engine| engine.spin.as_millis()));
        assert_eq!(spins.collect::<Vec<_>>(), [Some(0), Some(2)]);
    }

    #[test]
    fn memory_does_not_grow_with_the_requests() {
        const SECONDS: u64 = 3600;
        const REQUESTS: u64 = 3_000_000;
        let phases = [(SECONDS * 1000 / 2, 1.0, true), (SECONDS * 1000 / 2, 1.0, true)];
        let job = Job::new(&order(([127, 0, 0, 1], 1).into(), &in_phases(closed(1), &phases), 1000));
        let before = resident_bytes();
        let mut record = Record::new(&job.expect("valid"));
        let queue = Queue::new(REQUESTS, 1);
        let expect = Expect { status: 200, body: ExpectBody::Any };
        for index in 0..REQUESTS {
            let due = index * (SECONDS * 1_000_000_000 / REQUESTS);
            // From a µs to ten seconds, so that many buckets are used.
            let service = 1000 + index * 7_919 % 10_000_000_000;
            record.began(due, due);
            record.ended(&Request { due, taken: due, sent: due }, &Fate::Ok, due + service);
            let service = Duration::from_nanos(service);
            queue.ended(Ok(Answer { service, status: 200, body: Vec::new() }), &expect);
        }
        let grown = resident_bytes().saturating_sub(before);
        let parts = record.report("epoll", &[]).expect("encodes");
        assert_eq!(parts.iter().map(|part| part.fates.ok).sum::<u64>(), REQUESTS);
        assert_eq!(queue.report(Duration::ZERO, Duration::ZERO).expect("encodes").fates.ok, REQUESTS);
        let logs = parts.iter().map(|part| part.engine.as_ref().map_or(0, |engine| engine.intervals.len()));
        assert!(logs.clone().sum::<usize>() <= 64, "{:?}", logs.collect::<Vec<_>>());
        // At the most 64 histograms of 132 KiB, and one more. The samples would be 24 MB, twice.
        assert!(grown < 16 << 20, "{grown} bytes");
    }

    fn resident_bytes() -> u64 {
        let status = procfs::process::Process::myself().and_then(|process| process.status());
        status.expect("this process's").vmrss.expect("Linux says") * 1024
    }

    #[test]
    fn each_phase_has_its_own_cpu_time() {
        let cpu = [10, 11, 13, 13, 17, 25].map(Duration::from_millis);
        let parts = |cpu: &[Duration]| record().report("epoll", cpu).expect("encodes");
        let used =
            |cpu: &[Duration]| parts(cpu).iter().map(|part| part.client_cpu.as_millis()).collect::<Vec<_>>();
        assert_eq!(used(&cpu), [3, 12]);
        let halves = parts(&cpu)[1]
            .engine
            .as_ref()
            .map(|engine| engine.halves.map(|half| half.client_cpu.as_millis()));
        assert_eq!(halves, Some([4, 8]));
        // A load that was stopped in the second phase.
        assert_eq!(used(&cpu[..4]), [3, 0]);
    }
}
