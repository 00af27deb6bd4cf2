//! The measured time as the agent sees it: the clocks of the server and of the machine, read at its
//! beginning, half and end.

use super::process_tree::{CpuTimes, ProcessTree};
use crate::host::cpu_use::{HostTimes, HostUse};
use crate::host::cpus::Cpus;
use crate::host::usage;
use load::protocol::{Half, Moment};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A mark that comes so much later than the client's clock says is still used: nothing is exact to a
/// millisecond here.
const SLACK: Duration = Duration::from_millis(20);
/// In a long half this part of it may be missing, which falsifies its CPU time per request by as much.
const SLACK_SHARE: f64 = 0.01;
/// If more of the threads than this part end meanwhile, their context switches are not known.
const MAY_END: f64 = 0.01;

/// Looking for new processes takes a two-thousandth of a CPU's time at the most: every process of the machine is
/// looked at, and meanwhile the client may be kept from its CPU. A hundredth would be the 99th percentile.
const LOOKING: u32 = 2000;
/// Counting the context switches of one thread takes about so long.
const COUNTING: Duration = Duration::from_micros(20);
/// Counting may take this part of the measured time, for the same reason.
const COUNTING_SHARE: f64 = 0.002;

/// The clocks at one moment.
#[derive(Debug, Clone)]
struct Reading {
    moment: Moment,
    at: Instant,
    cpu: CpuTimes,
    helpers_cpu: Duration,
    host: Option<HostTimes>,
}

/// A window over the processes of a replicate.
#[derive(Debug)]
pub struct Window {
    server: ProcessTree,
    /// The clocks of all processes of the server that have been seen, as they were last read.
    now: CpuTimes,
    helpers: Vec<i32>,
    cpus: Cpus,
    readings: Vec<Reading>,
    threads: Option<u64>,
    switches_before: HashMap<i32, u64>,
    switches: Option<u64>,
    peak_memory: Option<u64>,
    /// When new processes are looked for again.
    look_again: Instant,
}

/// What was used between the beginning and the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// How long that was.
    pub wall: Duration,
    /// CPU time, user and system, of all the server's processes and threads; `None` for a server that is
    /// not ours, and where one of its processes has ended and its time is not known.
    pub cpu: Option<Duration>,
    /// The same in each half, where the half was marked.
    pub halves_cpu: Option<[Duration; 2]>,
    /// CPU time of the clients that interfere.
    pub helpers_cpu: Duration,
    /// What the CPUs did that server and client may use; `None` if the window is too short to tell.
    pub host: Option<HostUse>,
    /// Context switches of the server's threads.
    pub switches: Option<u64>,
    /// Peak resident memory in bytes of the server's processes, shared pages counted once; `None` where a
    /// process has ended.
    pub peak_memory: Option<u64>,
    /// The most threads seen in all the server's processes: threads come and go, and only looking finds
    /// them.
    pub threads: Option<u64>,
    /// That a mark came late, in words: the clocks were read at another time than the client's, and what
    /// they say is not used.
    pub late: Option<String>,
}

impl Window {
    /// A window over the processes of the server, none for a server that is not ours, over the `helpers` of
    /// the client, and over the CPUs that server and client may use.
    pub fn new(server: ProcessTree, helpers: Vec<i32>, cpus: Cpus) -> Window {
        let mut now = CpuTimes::default();
        now.look_for_more(&server);
        Window {
            server,
            now,
            helpers,
            cpus,
            readings: Vec::with_capacity(3),
            threads: None,
            switches_before: HashMap::new(),
            switches: None,
            peak_memory: None,
            look_again: Instant::now(),
        }
    }

    /// Reads the clocks, at a moment of the measured time: some microseconds. At its end it looks for processes
    /// that the server has started meanwhile, and reads theirs.
    pub fn mark(&mut self, moment: Moment) {
        let at = Instant::now();
        self.now.read(&self.server);
        let helpers_cpu = usage::cpu_time(&self.helpers);
        let host = HostTimes::read(&self.cpus);
        if moment == Moment::End {
            self.look_for_more();
        }
        self.readings.push(Reading { moment, at, cpu: self.now.clone(), helpers_cpu, host });
    }

    fn look_for_more(&mut self) {
        if self.server.is_empty() {
            return;
        }
        let start = Instant::now();
        self.now.look_for_more(&self.server);
        self.look_again = Instant::now() + LOOKING * start.elapsed();
    }

    /// Begins to count what has no clock: memory, threads, context switches. Some tens of microseconds for
    /// each of the server's threads, so that it does not go before a mark that is due; where that is too much of
    /// the time that is `measured`, context switches are not counted.
    pub fn count_from_here(&mut self, measured: Option<Duration>) {
        let pids = self.now.pids();
        usage::reset_peak_memory(&pids);
        self.look();
        let takes = COUNTING * u32::try_from(self.threads.unwrap_or(0)).unwrap_or(u32::MAX);
        if measured.is_none_or(|time| takes <= time.mul_f64(COUNTING_SHARE)) {
            self.switches_before = usage::context_switches(&pids);
        }
    }

    /// Ends what [`Window::count_from_here`] began.
    pub fn count_to_here(&mut self) {
        let pids = self.now.pids();
        // None before, none after: nothing is known of them.
        let now = match self.switches_before.is_empty() {
            true => HashMap::new(),
            false => usage::context_switches(&pids),
        };
        self.peak_memory = usage::peak_memory(&pids).filter(|bytes| *bytes > 0);
        self.look();
        self.switches = switches(&self.switches_before, &now, self.threads.unwrap_or(0));
    }

    /// Looks how many threads there are now, and now and then which processes; some tens of microseconds of
    /// the agent's time.
    pub fn look(&mut self) {
        if Instant::now() >= self.look_again {
            self.look_for_more();
        }
        self.threads = self.threads.max(usage::threads(&self.now.pids()));
    }

    /// What was used. `halves` are what the client says of a measured time that it marked itself.
    ///
    /// # Errors
    /// In words: a mark is missing.
    pub fn close(self, halves: Option<&[Half; 2]>) -> Result<Used, String> {
        let marks: Vec<Moment> = self.readings.iter().map(|reading| reading.moment).collect();
        let expected = match halves {
            Some(_) => &[Moment::Begin, Moment::Half, Moment::End][..],
            None => &[Moment::Begin, Moment::End][..],
        };
        if marks != expected {
            return Err(format!("the client marked {marks:?} of its measured time, not {expected:?}"));
        }
        let spans = self.readings.windows(2).map(|pair| pair[1].at - pair[0].at);
        let off = |(half, span): (&Half, Duration)| {
            let off = (span.as_secs_f64() - half.seconds).abs();
            (off > SLACK.as_secs_f64().max(SLACK_SHARE * half.seconds)).then(|| {
                format!(
                    "half of {:.3} s took {:.3} s by the harness's clock",
                    half.seconds,
                    span.as_secs_f64()
                )
            })
        };
        let late = halves.into_iter().flatten().zip(spans).find_map(off);
        let [begin, .., end] = &self.readings[..] else { return Err("there is no measured time".into()) };
        let wall = end.at - begin.at;
        let known = !self.server.is_empty() && late.is_none();
        let between = |earlier: &Reading, later: &Reading| later.cpu.since(&earlier.cpu).filter(|_| known);
        let halves_cpu = match &self.readings[..] {
            [begin, half, end] => between(begin, half).zip(between(half, end)).map(<[Duration; 2]>::from),
            _ => None,
        };
        Ok(Used {
            wall,
            cpu: between(begin, end),
            halves_cpu,
            helpers_cpu: end.helpers_cpu.saturating_sub(begin.helpers_cpu),
            host: end.host.zip(begin.host).and_then(|(now, then)| now.since(&then, wall)),
            switches: self.switches,
            peak_memory: self.peak_memory.filter(|_| !end.cpu.has_lost_any_since(&begin.cpu)),
            threads: self.threads,
            late,
        })
    }
}

/// Context switches between two looks at the threads; `None` where too many of the first look, or of the
/// `most` that were there in between, have ended and taken theirs with them, or where there is no thread.
fn switches(before: &HashMap<i32, u64>, after: &HashMap<i32, u64>, most: u64) -> Option<u64> {
    let of_first = before.keys().filter(|tid| !after.contains_key(tid)).count() as f64;
    let of_most = most.saturating_sub(after.len() as u64) as f64;
    if of_first > MAY_END * before.len() as f64 || of_most > MAY_END * most as f64 {
        return None;
    }
    let since = |(tid, now): (&i32, &u64)| now.saturating_sub(before.get(tid).copied().unwrap_or(0));
    after.iter().map(since).reduce(|sum, more| sum + more)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;

    const PAUSE: Duration = Duration::from_millis(5);

    fn own() -> Vec<i32> {
        vec![nix::unistd::getpid().as_raw()]
    }

    fn own_tree() -> ProcessTree {
        ProcessTree::of(own()[0])
    }

    fn window(marks: &[Moment]) -> Window {
        let mut window = Window::new(own_tree(), Vec::new(), Cpus::default());
        for mark in marks {
            window.mark(*mark);
            sleep(PAUSE);
        }
        window
    }

    fn half(seconds: f64) -> Half {
        Half { seconds, ..Half::default() }
    }

    #[test]
    fn a_window_reads_what_its_processes_use() {
        let mut window = Window::new(own_tree(), own(), Cpus::allowed().expect("affinity"));
        window.count_from_here(None);
        window.mark(Moment::Begin);
        let start = usage::cpu_time(&own());
        while usage::cpu_time(&own()) < start + Duration::from_millis(10) {}
        window.look();
        window.mark(Moment::End);
        window.count_to_here();
        let used = window.close(None).expect("both marks");
        let cpu = used.cpu.expect("its pid");
        assert!(
            cpu >= Duration::from_millis(10) && used.helpers_cpu >= Duration::from_millis(10),
            "{used:?}"
        );
        assert!(used.peak_memory > Some(0) && used.threads > Some(0) && used.switches.is_some(), "{used:?}");
        assert_eq!((used.halves_cpu, used.host), (None, None));
    }

    #[test]
    fn a_marked_window_has_halves_that_add_up() {
        let window = window(&[Moment::Begin, Moment::Half, Moment::End]);
        let at: Vec<Instant> = window.readings.iter().map(|reading| reading.at).collect();
        let halves = [half((at[1] - at[0]).as_secs_f64()), half((at[2] - at[1]).as_secs_f64())];
        let used = window.close(Some(&halves)).expect("three marks in time");
        let [first, second] = used.halves_cpu.expect("marked");
        assert_eq!(Some(first + second), used.cpu);
    }

    #[test]
    fn missing_marks_are_errors_and_late_ones_leave_figures_empty() {
        let halves = [half(PAUSE.as_secs_f64()); 2];
        for marks in
            [&[][..], &[Moment::Begin], &[Moment::Begin, Moment::End], &[Moment::Begin, Moment::Half]]
        {
            let problem = window(marks).close(Some(&halves)).expect_err("incomplete");
            assert!(problem.contains("not [Begin, Half, End]"), "{problem}");
        }
        // The client says that a half took seconds, and it did not.
        let marked = window(&[Moment::Begin, Moment::Half, Moment::End]);
        let first = marked.readings[1].at - marked.readings[0].at;
        let used = marked.close(Some(&[half(first.as_secs_f64()), half(5.0)])).expect("complete");
        assert!(used.late.as_ref().is_some_and(|late| late.contains("half of 5.000 s")), "{used:?}");
        assert_eq!((used.cpu, used.halves_cpu), (None, None));
        assert!(window(&[Moment::End]).close(None).is_err());
    }

    #[test]
    fn a_server_that_is_not_ours_has_no_figures() {
        let mut window = Window::new(ProcessTree::default(), Vec::new(), Cpus::online());
        window.count_from_here(None);
        window.mark(Moment::Begin);
        window.mark(Moment::End);
        window.count_to_here();
        let used = window.close(None).expect("both marks");
        assert_eq!((used.cpu, used.peak_memory, used.threads, used.switches), (None, None, None, None));
    }

    #[test]
    fn switches_of_threads_that_have_ended_are_not_made_up() {
        let threads = |from: i32, to: i32, each: u64| (from..to).map(|tid| (tid, each)).collect();
        assert_eq!(switches(&threads(0, 100, 5), &threads(0, 101, 7), 101), Some(200 + 7));
        assert_eq!(switches(&threads(0, 100, 5), &threads(1, 100, 7), 100), Some(198));
        assert_eq!(switches(&threads(0, 100, 5), &threads(2, 100, 7), 100), None);
        assert_eq!(switches(&threads(0, 2, 5), &threads(0, 2, 7), 2), Some(4));
        // Eight connections had threads of their own in between.
        assert_eq!(switches(&threads(0, 2, 5), &threads(0, 2, 7), 10), None);
        assert_eq!(switches(&threads(0, 0, 0), &threads(0, 0, 0), 0), None);
    }
}
