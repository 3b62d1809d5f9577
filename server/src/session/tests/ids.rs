//! Session ids and reasons.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use super::*;

#[test]
fn ids_carry_the_worker_and_never_repeat() {
    let workers: Vec<SessionIds> = (0..=255).step_by(51).map(SessionIds::new).collect();
    let mut seen = HashSet::new();
    for _ in 0..1000 {
        for (ids, worker) in workers.iter().zip((0..=255).step_by(51)) {
            let id = ids.next();
            assert!(id.get() > 0);
            assert_eq!(id.worker(), worker);
            assert!(seen.insert(id));
        }
    }
}

#[test]
fn a_process_that_starts_a_millisecond_later_begins_above_8192_sessions_of_the_first() {
    let start = UNIX_EPOCH + Duration::from_secs(1_750_000_000);
    let first = SessionIds::starting_at(start, 3);
    let second = SessionIds::starting_at(start + Duration::from_millis(1), 3).next();
    let mut last = first.next();
    for _ in 1..8192 {
        last = first.next();
    }
    assert!(last < second, "{last} {second}");
}

#[test]
fn ids_are_positive_for_any_clock() {
    let year = Duration::from_hours(366 * 24);
    for start in [UNIX_EPOCH - year, UNIX_EPOCH, UNIX_EPOCH + year * 138, UNIX_EPOCH + year * 5000] {
        assert!(SessionIds::starting_at(start, 255).next().get() > 0, "{start:?}");
    }
    assert_eq!(SessionId::try_from(0), Err(InvalidSessionId(0)));
    assert_eq!(SessionId::try_from(-1), Err(InvalidSessionId(-1)));
}

#[test]
fn reasons_have_names_and_numbers_of_their_own() {
    let names: HashSet<_> = CloseReason::ALL.iter().map(|reason| reason.as_str()).collect();
    let numbers: HashSet<_> = CloseReason::ALL.iter().map(|reason| reason.number()).collect();
    assert_eq!((names.len(), numbers.len()), (CloseReason::ALL.len(), CloseReason::ALL.len()));
    for reason in CloseReason::ALL {
        assert_eq!(CloseReason::from_number(reason.number()), Some(*reason));
        assert_eq!(CloseReason::from_name(reason.as_str()), Some(*reason));
    }
    for reason in KickReason::ALL {
        assert_eq!(KickReason::from_name(reason.as_str()), Some(*reason));
        assert!(!reason.message().is_empty());
        assert!(CloseReason::ALL.contains(&reason.closes_with()));
    }
    assert_eq!(CloseReason::from_number(0), None);
}
