//! The columns of `cells.csv`: names, units, types, meanings, and how the blocks of a cell are summed up.
//!
//! A new column is one entry here, and a raised [`SCHEMA_VERSION`].

use super::column::Over::{Cell, Interval, Max, Median, Min, Percentile, Run, Sum, Told, Workload};
use super::column::{Loops::Closed, Loops::Open, columns, cost, rate, time};
use crate::judge::validity::Figure;
use std::collections::BTreeMap;

/// The version of the columns. Columns are only ever added, and then this grows.
pub const SCHEMA_VERSION: u32 = 7;

columns! {
    /// A row of `cells.csv`, in the order of its columns: one replicate, load and phase.
    #[derive(Debug, Clone, Default, PartialEq)]
    pub struct Row {
        // identity
        schema_version: u32, "", &[Run] =>
            "The version of the columns: 7; 6 before rows had their hosts, 5 before files were made for spreadsheets, 4 before servers took turns and steadiness was asked of cells, 3 before pairs had a step-down test, 2 before there were workload ids, 1 \
            before the load engine.";
        run_id: String, "", &[Run] => "The name of the run's directory.";
        block: usize, "", &[] => "The repetition of all cells that the row belongs to, from 1.";
        attempt: usize, "", &[] =>
            "The attempt of the row's group in this block, from 1: a group that the host disturbed is run \
            again, and only its last whole attempt counts.";
        order_index: usize, "", &[] =>
            "The place of the row within its block, from 1: ceilings, then group after group, shuffled by \
            the seed.";
        started_at as "started_at_utc": Option<jiff::Timestamp>, "", &[] =>
            "When the replicate began, in UTC; before schema 6 `started_at`, as in `2026-11-24T15:00:30.521Z`.";
        seed: u64, "", &[] => "The number that decides the order of the rows.";
        experiment: String, "", &[Run] => "The experiment's name.";
        workload_id: String, "", &[Workload] =>
            "A short name of what is measured, without the server. Rows with the same one are compared, \
            and no others.";
        workload: String, "", &[Workload] => "The same workload in words.";
        workload_no: usize, "", &[Workload] => "The workload's place in the experiment, from 1.";
        group_id: String, "", &[Workload] =>
            "The workload that the row's group has in common: its own, or that of its baseline where \
            levels of a factor are compared.";
        load: String, "", &[Workload] => "The name of the measured load.";
        phase: String, "", &[Workload] => "The name of the measured phase; empty where there is only one.";
        // server
        server: String, "", &[Cell] =>
            "The server's name, or host and port with `--url`; ends with `.control` for a server that \
            runs a second time.";
        role: String, "", &[Cell] =>
            "`contestant`; `control`: the same server a second time, which must come out like the first; \
            `ceiling`: constant bytes, which show what the client can do at the most; `oracle`: answer \
            times known in advance.";
        runtime: String, "", &[Cell] => "The runtime, as the server says.";
        runtime_version: String, "", &[Cell] =>
            "The runtime's version, from the lockfile that the server was built with.";
        flavor: String, "", &[Cell] => "The set-up of the runtime; empty where there is only one.";
        http_stack: String, "", &[Cell] => "The library that speaks HTTP, and its version.";
        processes: usize, "", &[Workload] => "The number of server processes behind the port.";
        worker_threads: Option<usize>, "threads", &[Cell] =>
            "The threads that run tasks, over all processes; empty where each connection has its own.";
        blocking_threads: Option<usize>, "threads", &[Cell] =>
            "The largest number of threads that may block at a time, over all processes.";
        server_host: String, "", &[] =>
            "The machine that the server ran on, by its name; of `harness merge` rows are of several. Empty with `--url`.";
        server_cpus: String, "", &[] =>
            "The CPUs that the server's threads were seen to be allowed on, taken together, such as \
            `cpu 0 1` (before schema 6 `0 1`); others than it was given are an error; empty with `--url`.";
        threads_seen: Option<u64>, "threads", &[Max], cost("threads", Figure::Memory) =>
            "The largest number of threads that the server's processes had, looked at every 25 ms during \
            the load.";
        // work
        route: String, "", &[Workload] => "The path and query of the requests.";
        interference: String, "", &[Workload] =>
            "The requests kept in flight from before the first request until after the last: route`@`how \
            many.";
        strategy: String, "", &[Workload] =>
            "How the client issues its requests: `sequential`, `thread-pool`, `async`, `open-loop`, \
            `closed-loop`, `churn`.";
        loop_kind as "loop": String, "", &[Workload] =>
            "`closed`: a request is sent when another has been answered; `open`: it is sent when it is \
            due, whatever the server does.";
        arrival: String, "", &[Workload] => "How an open loop spaces its requests: `constant` or `poisson`.";
        amount: String, "", &[Workload] =>
            "How much was asked for: `1000 requests`, or a measured time as in `5 s`. Never empty, so that rows can be \
            grouped by it.";
        requests: Option<u64>, "requests", &[Workload] =>
            "The number of requests asked for; empty for a strategy that runs for a time.";
        duration_s: Option<f64>, "s", &[Workload] =>
            "The measured time; empty for a strategy that runs for a number of requests.";
        warmup_s: Option<f64>, "s", &[Workload] =>
            "The time before the measured time, whose requests are not counted.";
        concurrency: usize, "requests", &[Workload] => "The largest number of requests under way at once; in `pairs.csv` that of `server`, where it depends on \
            the server.";
        connections: Option<usize>, "connections", &[Cell] => "The size of the pool of kept connections.";
        keep_alive: bool, "", &[Cell] => "Whether a connection serves more than one request.";
        offered_rps: Option<f64>, "requests/s", &[Workload] => "The rate of the schedule; in `pairs.csv` that of `server`, where it depends on the server.";
        phase_scale: Option<f64>, "", &[Workload] =>
            "What the phase multiplied the load's rate by; empty without phases.";
        rounds: Option<u64>, "", &[Workload] =>
            "The slices that the measured time is made of, where the servers of a group take turns; empty where each \
            has its time as a whole.";
        knee_rps: Option<f64>, "requests/s", &[Median] =>
            "The highest rate that kept the search's bound on this server; empty where nothing was \
            searched.";
        search_passed: Option<bool>, "", &[] =>
            "Whether a trial of a search kept its bound; empty for all other rows.";
        timeout_ms: u64, "ms", &[Cell] =>
            "How long a request may take, its connection included; on an open loop from when it was due.";
        placement: String, "", &[Workload] =>
            "`split`: server and client on CPUs of their own; `shared`: both on all; `hosts`: on machines of \
            their own; empty with `--url`.";
        client_hosts: String, "", &[] =>
            "The machines that the load came from, by their names.";
        client_cpus: String, "", &[] =>
            "The CPUs that the client's threads were seen to be allowed on, taken together, likewise; of several hosts one \
            after the other.";
        client_driver: String, "", &[] => "How the load engine talked to the kernel: `io_uring` or `epoll`.";
        // fates
        scheduled: Option<u64>, "requests", &[Sum] =>
            "Requests begun, or due in the measured time: the sum of the next nine columns, up to \
            `in_flight_at_end`.";
        ok: Option<u64>, "requests", &[] => "Requests answered with the right status and body.";
        bad_status: Option<u64>, "requests", &[] => "Requests answered with another status.";
        bad_body: Option<u64>, "requests", &[] => "Requests answered with the right status and another body.";
        err_connect: Option<u64>, "requests", &[] => "Requests that got no connection.";
        err_read: Option<u64>, "requests", &[] => "Requests whose answer broke off, or was no HTTP.";
        err_write: Option<u64>, "requests", &[] => "Requests that could not be sent.";
        timed_out: Option<u64>, "requests", &[Sum] => "Requests without a whole answer in time.";
        shed: Option<u64>, "requests", &[Sum] =>
            "Requests never sent: no connection was free before their time was over.";
        in_flight_at_end: Option<u64>, "requests", &[] =>
            "Requests still under way when the client was told to stop.";
        connects: Option<u64>, "connections", &[] => "Connections opened during the load.";
        // result
        elapsed_s: Option<f64>, "s", &[] =>
            "The time from the first request's start to the last one's end; of the load engine, from the \
            beginning of the measured time until the last request due in it has ended.";
        throughput_rps: Option<f64>, "requests/s", &[Median, Min, Max, Interval], rate("throughput").in_pairs() =>
            "`ok` / `elapsed_s`; of the load engine, right answers that came in the measured time / \
            `duration_s`. Of slices (`rounds`) `ok` / `elapsed_s` at saturation, and at a rate with which the server keeps up \
            `ok` / `duration_s`.";
        service_mean_us: Option<f64>, "µs", &[Median], time("mean", Closed) =>
            "The mean service time of the `ok` requests: from the first byte written to the last byte \
            read, without connecting.";
        service_p50_us: Option<f64>, "µs", &[Median, Interval], time("p50", Closed).in_pairs() =>
            "The median service time; percentiles have three significant figures, and are empty where \
            fewer than 100 samples lie above.";
        service_p90_us: Option<f64>, "µs", &[Median], time("p90", Closed) =>
            "The 90th percentile of the service time.";
        service_p99_us: Option<f64>, "µs", &[Median, Interval], time("p99", Closed).in_pairs() =>
            "The 99th percentile of the service time.";
        service_p99_9_us: Option<f64>, "µs", &[], time("p99.9", Closed) =>
            "The 99.9th percentile of the service time.";
        service_max_us: Option<f64>, "µs", &[Max] => "The largest value of the service time.";
        response_mean_us: Option<f64>, "µs", &[Median], time("mean", Open) =>
            "The mean response time of the `ok` requests of an open loop: from when a request was due to \
            the last byte read; lateness + connection wait + service, exactly, for each request.";
        response_p50_us: Option<f64>, "µs", &[Percentile(0.5), Interval], time("p50", Open).in_pairs() =>
            "The median response time; empty also where the percentile lies among requests that timed out \
            or were shed, so that it is only known to be above `timeout_ms`.";
        response_p90_us: Option<f64>, "µs", &[Percentile(0.9)], time("p90", Open) =>
            "The 90th percentile of the response time.";
        response_p99_us: Option<f64>, "µs", &[Percentile(0.99), Interval], time("p99", Open).in_pairs() =>
            "The 99th percentile of the response time.";
        response_p99_9_us: Option<f64>, "µs", &[Percentile(0.999)], time("p99.9", Open) =>
            "The 99.9th percentile of the response time.";
        response_max_us: Option<f64>, "µs", &[Max] => "The largest value of the response time.";
        lateness_p50_us: Option<f64>, "µs", &[] =>
            "The client's own fault: the median time from when a request was due until the client took it \
            up.";
        lateness_p99_us: Option<f64>, "µs", &[Median] => "The 99th percentile of the lateness.";
        lateness_max_us: Option<f64>, "µs", &[] => "The largest value of the lateness.";
        conn_wait_p50_us: Option<f64>, "µs", &[] =>
            "The median time from when the client took a request up to its first byte written: no \
            connection was free, or one was opened.";
        conn_wait_p99_us: Option<f64>, "µs", &[Median] => "The 99th percentile of the wait for a connection.";
        // cost
        server_cpu_us_per_request: Option<f64>, "µs", &[Median, Interval], cost("cpu", Figure::Cpu).in_pairs() =>
            "CPU time of all server processes during the load, those that start or end meanwhile too, user \
            and system, per right answer in that time; empty where several loads share the server.";
        throughput_by_round_rps: Option<f64>, "requests/s", &[] =>
            "Where servers take turns: the throughput as the geometric mean over the slices, which is what servers are \
            compared by, so that each pair is made within a round.";
        server_cpu_by_round_us_per_request: Option<f64>, "µs", &[] => "The same of the server's CPU time per request.";
        throughput_continuous_rps: Option<f64>, "requests/s", &[Median] =>
            "The throughput in one continuous window in the middle of the turns, which slices are checked against.";
        server_cpu_continuous_us_per_request: Option<f64>, "µs", &[Median] =>
            "The server's CPU time per request in that window.";
        server_idle_share: Option<f64>, "", &[Median] =>
            "The part of one CPU's time that the server used while it had no turn: next to nothing, or it is in the \
            others' way.";
        meter_us: Option<f64>, "µs", &[] =>
            "How long the client waited for the server's CPU clock at an edge of a slice, on average; in no slice. \
            Runs up to the morning of 29 November 2026 have the median.";
        client_cpu_us_per_request: Option<f64>, "µs", &[Median] =>
            "CPU time of the client process during the load, per right answer in that time, spinning \
            included.";
        client_spin_share: Option<f64>, "", &[] =>
            "The part of the client's CPU time that went into spinning until the next request was due.";
        server_peak_rss_bytes: Option<u64>, "bytes", &[Median, Max, Interval], cost("memory", Figure::Memory).in_pairs() =>
            "Peak resident memory during the load (`VmHWM`); of several processes the sum of their peaks, \
            less what pages that they share count more than once at the end of the load (RSS − PSS), and \
            no less than the largest of them; empty where one of them ended meanwhile.";
        client_peak_rss_bytes: Option<u64>, "bytes", &[] =>
            "Peak resident memory of the client process, histograms included.";
        server_ctx_switches_per_request: Option<f64>, "", &[Median, Interval], cost("switches", Figure::Cpu) =>
            "Context switches of the server's threads during the load, voluntary or not, per right \
            answer; empty where the threads have ended before they could be asked, as with a thread for \
            each connection.";
        // belief
        ceiling_rps: Option<f64>, "requests/s", &[Cell] =>
            "The lowest bound that arithmetic gives (the schedule, Little's law); empty without a \
            schedule where a request has no fixed duration.";
        ceiling_by: String, "", &[Cell] =>
            "The bound that sets the ceiling: `offered_rate` (the schedule), `concurrency` (in flight / \
            delay) or `blocking_threads` (free ones / delay).";
        client_ceiling_rps: Option<f64>, "requests/s", &[Median] =>
            "The throughput that the same client, without a schedule, reached against `ceiling` (before \
            schema 6 `null`) in the same block: the most it can do.";
        network_floor_us: Option<f64>, "µs", &[] =>
            "The network's own part of every latency: the time of a request to constant bytes from a client's host, one \
            after the other, before the row's group; the median, from the host where it is longest. Empty where \
            server and client are on one machine.";
        bound_by: String, "", &[Told] =>
            "The ceiling the throughput reached: `offered_rate`, `concurrency`, `blocking_threads`, \
            `server_cpu`, `machine_cpu`, `client`, or `unexplained`.";
        client_utilisation: Option<f64>, "", &[Median] =>
            "The part of the time of its CPUs that the client used, without spinning.";
        server_utilisation: Option<f64>, "", &[Median] =>
            "The part of the time of its CPUs that the server used.";
        machine_utilisation: Option<f64>, "", &[Median] =>
            "The part of the time of the CPUs that server and client share which anybody used; empty \
            where they share none.";
        in_flight_mean: Option<f64>, "requests", &[] =>
            "Requests under way, averaged over the measured time by counting them.";
        little_ratio: Option<f64>, "", &[] =>
            "`in_flight_mean` / (throughput × mean latency): 1 by Little's law.";
        half_throughput_ratio: Option<f64>, "", &[Median] =>
            "Throughput of the second half of the measured time / that of the first; per request due on \
            an open loop.";
        half_latency_ratio: Option<f64>, "", &[Median] =>
            "Mean response time (without a schedule: service time) of the requests due in the second half / that of \
            the first.";
        half_cpu_ratio: Option<f64>, "", &[Median] =>
            "Server CPU time per request in the second half / that in the first.";
        host_steal_share: Option<f64>, "", &[] =>
            "CPU time the hypervisor kept during the load, of the time of the CPUs that the server or the client may use; empty \
            for a load of less than 1 s.";
        host_other_share: Option<f64>, "", &[] =>
            "CPU time that neither the server nor the client used but somebody else, of the same CPUs' time; \
            empty for a load of less than 1 s, and with `--url`.";
        verdict: String, "", &[Told] =>
            "`ok`, or the first gate that the row does not pass: `failed`, `errors`, `noisy_host`, \
            `overloaded`, `late_generator`, `client_bound`, `little_violated` (docs/methodology.md has their \
            thresholds, and says which figures each speaks against). Up to schema 4 also `no_steady_state`, which is \
            read as `ok`: of rows it is not said any more.";
        verdict_reason: String, "", &[Told] =>
            "The figures that decided the verdict; for `ok` the gates that could not be asked, as in `not \
            judged: host, Little's law`.";
        error: String, "", &[Told] => "What went wrong, with the server's last lines; empty if nothing did.";
    } with {
        /// The levels of the run's factors, each in a column `factor_<name>` behind the others.
        factors: BTreeMap<String, String>,
    }
}
