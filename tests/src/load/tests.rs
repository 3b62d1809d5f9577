use std::time::Duration;

use super::Outcome;

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
