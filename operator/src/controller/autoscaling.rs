//! How many servers the sessions need. Pure: the memory of what was enough is the caller's.

use cereus_crds::Autoscaling;
use tokio::time::Instant;

/// What the sessions of a type are at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Sessions of all servers. Those of servers that drain count too: they come to the others.
    pub(crate) sessions: Option<u64>,
    /// Whether every server that takes messages said how many it holds when it was last asked.
    pub(crate) complete: bool,
    /// Whether servers are draining.
    pub(crate) draining: bool,
}

/// Since when fewer servers would have been enough, and the most of them that were needed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Enough {
    since: Instant,
    peak: i32,
}

/// How many servers there are to be, when there are to be `current` of them so far.
///
/// More at once; fewer when fewer were enough for the whole delay, and then as many as were needed at most in that time.
/// Not while servers drain, because their sessions are not where they will be, nor while one does not answer.
pub(crate) fn choose(spec: &Autoscaling, current: i32, load: Load, memory: &mut Option<Enough>, now: Instant) -> i32 {
    let current = current.clamp(spec.min_replicas, spec.max_replicas);
    let Some(sessions) = load.sessions else {
        *memory = None;
        return current;
    };
    let per_replica = u64::try_from(spec.sessions_per_replica).unwrap_or(1).max(1);
    let needed = i32::try_from(sessions.div_ceil(per_replica)).unwrap_or(i32::MAX);
    let needed = needed.clamp(spec.min_replicas, spec.max_replicas);
    if needed >= current || !load.complete {
        *memory = None;
        return needed.max(current);
    }
    let enough = memory.get_or_insert(Enough { since: now, peak: needed });
    enough.peak = enough.peak.max(needed);
    if load.draining || now.duration_since(enough.since) < spec.scale_down_delay.get() {
        return current;
    }
    let peak = enough.peak;
    *memory = None;
    peak
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cereus_crds::Autoscaling;
    use tokio::time::Instant;

    use super::{Load, choose};

    fn spec() -> Autoscaling {
        let text = r#"{ "minReplicas": 2, "maxReplicas": 5, "sessionsPerReplica": 100, "scaleDownDelay": "1m" }"#;
        serde_json::from_str(text).unwrap()
    }

    fn load(sessions: u64) -> Load {
        Load { sessions: Some(sessions), complete: true, draining: false }
    }

    /// Steps of (seconds, load, what is chosen), each from the choice before.
    fn check(start: i32, steps: &[(u64, Load, i32)]) {
        let begin = Instant::now();
        let mut memory = None;
        let mut current = start;
        for (seconds, load, expected) in steps {
            current = choose(&spec(), current, *load, &mut memory, begin + Duration::from_secs(*seconds));
            assert_eq!(current, *expected, "at {seconds}s with {load:?}");
        }
    }

    #[test]
    fn more_sessions_get_more_servers_at_once_within_the_bounds() {
        check(2, &[(0, load(0), 2), (1, load(200), 2), (2, load(201), 3), (3, load(10_000), 5)]);
        check(1, &[(0, load(0), 2)]);
        check(9, &[(0, load(10_000), 5)]);
    }

    #[test]
    fn fewer_sessions_get_fewer_servers_when_that_was_enough_for_the_whole_delay() {
        check(5, &[(0, load(200), 5), (59, load(200), 5), (60, load(200), 2)]);
        // The most that was needed in that time stays.
        check(5, &[(0, load(200), 5), (30, load(350), 5), (60, load(200), 4), (61, load(200), 4), (121, load(200), 2)]);
        // Players came back: the time begins again.
        check(
            5,
            &[(0, load(200), 5), (30, load(500), 5), (60, load(200), 5), (119, load(200), 5), (120, load(200), 2)],
        );
    }

    #[test]
    fn nothing_goes_while_servers_drain_or_do_not_answer() {
        let draining = Load { draining: true, ..load(200) };
        check(5, &[(0, draining, 5), (100, draining, 5), (101, load(200), 2)]);
        let silent = Load { complete: false, ..load(200) };
        check(5, &[(0, load(200), 5), (59, silent, 5), (60, load(200), 5), (120, load(200), 2)]);
        let unknown = Load { sessions: None, ..silent };
        check(3, &[(0, unknown, 3), (100, unknown, 3)]);
        // But what is known to be too much for those there are gets more.
        check(3, &[(0, Load { complete: false, ..load(450) }, 5)]);
    }
}
