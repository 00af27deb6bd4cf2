//! The cases, K1 to K13: what is set up, what is expected, and how far a figure may be from it.
//!
//! Tolerances are those of docs/methodology.md, which says why where one is wider than the formula's own.

mod closed;
mod costs;
mod counts;
mod faults;
mod gates;
mod matrices;
mod overload;
mod queues;
mod stalls;
mod turns;

use super::case::{Selected, Trial, Trials};

/// The trials of a selection.
pub(super) fn trials(selected: &Selected<'_>) -> Vec<Trial> {
    let mut trials = Trials { selected: *selected, turn: 0, list: Vec::new() };
    closed::add(&mut trials);
    queues::add(&mut trials);
    stalls::add(&mut trials);
    overload::add(&mut trials);
    stalls::add_client(&mut trials);
    costs::add(&mut trials);
    faults::add(&mut trials);
    turns::add(&mut trials);
    gates::add(&mut trials);
    counts::add(&mut trials);
    matrices::add(&mut trials);
    trials.list
}

#[cfg(test)]
mod tests {
    use super::super::case::Case;
    use super::*;
    use load::Strategy;
    use load::protocol::Driver;
    use strum::VariantArray as _;

    fn names(only: &[Case], full: bool, drivers: &[Driver]) -> Vec<(Case, Strategy, Option<Driver>)> {
        let trials = trials(&Selected { only, full, drivers });
        trials.iter().map(|trial| (trial.case, trial.strategy, trial.driver)).collect()
    }

    const BOTH: [Driver; 2] = [Driver::IoUring, Driver::Epoll];

    #[test]
    fn every_case_has_trials_and_every_strategy_and_driver_is_tried() {
        let full = names(&[], true, &BOTH);
        for &case in Case::VARIANTS {
            assert!(full.iter().any(|(of, ..)| *of == case), "{case}");
            assert!(names(&[case], false, &BOTH).iter().all(|(of, ..)| *of == case), "{case}");
        }
        let brief = names(&[], false, &BOTH);
        for &strategy in Strategy::VARIANTS {
            let drivers = if strategy.is_engine() {
                vec![Some(Driver::IoUring), Some(Driver::Epoll)]
            } else {
                vec![None]
            };
            for driver in drivers {
                assert!(
                    brief.iter().any(|(_, s, d)| (*s, *d) == (strategy, driver)),
                    "{strategy} {driver:?}"
                );
            }
        }
        assert!(brief.iter().all(|(case, ..)| !matches!(case, Case::K11 | Case::K11b)));
        assert!(
            names(&[], true, &[Driver::Epoll]).iter().all(|(_, _, driver)| *driver != Some(Driver::IoUring))
        );
    }
}
