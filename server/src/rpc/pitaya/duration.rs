//! Durations as Go writes them: `300ms`, `1.5s`, `1m0s`.

use std::time::Duration;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000 * MICROSECOND;
const SECOND: u64 = 1_000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// More digits of a fraction than these are below a nanosecond of any unit.
const FRACTION_DIGITS: usize = 18;

/// Reads what Go's `time.ParseDuration` reads. A negative duration is none at all: its time is over. `None` for anything
/// else, and for more than Go can hold (292 years).
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after.find(|char: char| char == '.' || char.is_ascii_digit()).unwrap_or(after.len());
        let (name, after) = after.split_at(end);
        let unit = u128::from(unit(name)?);
        let fraction = fraction.get(..FRACTION_DIGITS.min(fraction.len()))?;
        let mut part = if whole.is_empty() { 0 } else { u128::from(whole.parse::<u64>().ok()?) * unit };
        if !fraction.is_empty() {
            let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
            part += u128::from(fraction.parse::<u64>().ok()?) * unit / scale;
        }
        nanoseconds += part;
        if nanoseconds > u128::from(i64::MAX.unsigned_abs()) {
            return None;
        }
        rest = after;
    }
    Some(if negative { Duration::ZERO } else { Duration::from_nanos(u64::try_from(nanoseconds).ok()?) })
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len()))
}

fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // The micro sign, and the Greek letter that looks like it.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// Writes a duration as Go's `Duration.String` does; one that Go cannot hold as the longest that it can.
pub(super) fn format(duration: Duration) -> String {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs());
    match nanoseconds {
        0 => "0s".to_owned(),
        1..MICROSECOND => format!("{nanoseconds}ns"),
        MICROSECOND..MILLISECOND => decimal(nanoseconds, MICROSECOND) + "\u{b5}s",
        MILLISECOND..SECOND => decimal(nanoseconds, MILLISECOND) + "ms",
        _ => {
            let seconds = decimal(nanoseconds % MINUTE, SECOND) + "s";
            match (nanoseconds / HOUR, nanoseconds / MINUTE % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

/// `value / unit`, with as many digits as it takes and no more.
fn decimal(value: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let fraction = format!("{:0width$}", value % unit);
    match fraction.trim_end_matches('0') {
        "" => format!("{}", value / unit),
        fraction => format!("{}.{fraction}", value / unit),
    }
}
