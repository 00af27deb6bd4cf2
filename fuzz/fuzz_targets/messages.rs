//! The lines between the harness and its processes: orders and messages of a client, a server's ready line, a meter's
//! answer. What is read can be written and read again, and a report becomes a row or an error.

#![no_main]

use contract::ready::ReadyLine;
use harness::record::interval_log;
use harness::record::row::Row;
use libfuzzer_sys::fuzz_target;
use load::protocol::{Message, Orders};
use std::time::SystemTime;

fuzz_target!(|line: &[u8]| {
    if let Ok(orders) = serde_json::from_slice::<Orders>(line) {
        fuzz::comes_back(&orders);
    }
    if let Ok(message) = serde_json::from_slice::<Message>(line) {
        fuzz::comes_back(&message);
        if let Message::Report(report) = message {
            for part in &report.parts {
                let mut row = Row::default();
                if row.set_report(part).is_ok()
                    && let Ok(log) = interval_log::write(part, SystemTime::UNIX_EPOCH)
                {
                    interval_log::parse(&log).expect("a log that was written can be read");
                }
            }
        }
    }
    if let Ok(ready) = serde_json::from_slice::<ReadyLine>(line) {
        fuzz::comes_back(&ready);
    }
    if let Ok(cpu) = serde_json::from_slice::<Vec<u64>>(line) {
        fuzz::comes_back(&cpu);
    }
});
