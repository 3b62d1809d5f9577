use std::time::Duration;

use parking_lot::Mutex;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{Addresses, Load, Outcome, Plan, Seen, Shared};

#[test]
fn of_a_hundred_times_each_percentile_is_one() {
    let milliseconds = |range: std::ops::RangeInclusive<u64>| range.rev().map(Duration::from_millis).collect();
    let outcome = Outcome { times: milliseconds(1..=100), ..Outcome::default() };
    for percent in [1, 50, 99, 100] {
        assert_eq!(outcome.percentile(percent), Duration::from_millis(percent as u64));
    }
    let one = Outcome { times: milliseconds(7..=7), ..Outcome::default() };
    assert_eq!((one.percentile(1), one.longest()), (Duration::from_millis(7), Duration::from_millis(7)));
    assert_eq!(Outcome::default().longest(), Duration::ZERO);
}

#[tokio::test]
async fn what_was_answered_before_does_not_count_anew() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let shared = Shared {
        plan: Plan::new(Addresses { tcp: nowhere, websocket: nowhere }, 0, "game.trial.server", ""),
        outcome: Mutex::default(),
        answers: watch::Sender::new(0),
        running: watch::Sender::new(true),
    };
    let load = Load { players: JoinSet::new(), shared: shared.into() };
    let answer = |body: &str| {
        let now = Instant::now();
        load.shared.outcome.lock().bodies.insert(body.to_owned(), Seen { first: now, last: now });
        load.shared.answers.send_modify(|answers| *answers += 1);
    };
    answer("one");
    let (anew, ()) = tokio::join!(load.bodies_anew(1), async { answer("two") });
    assert_eq!(anew.unwrap().into_keys().collect::<Vec<_>>(), ["two"]);
    assert_eq!(load.bodies(2).await.unwrap().into_keys().collect::<Vec<_>>(), ["one", "two"]);
}
