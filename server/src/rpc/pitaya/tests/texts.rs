//! Durations and metadata.

use std::time::Duration;

use crate::rpc::Identity;
use crate::rpc::pitaya::{duration, metadata};

const NANOSECOND: Duration = Duration::from_nanos(1);

#[test]
fn durations_are_read_as_go_reads_them() {
    for (text, expected) in [
        ("5s", Some(Duration::from_secs(5))),
        ("1m0s", Some(Duration::from_mins(1))),
        ("1.5s", Some(Duration::from_millis(1500))),
        ("300ms", Some(Duration::from_millis(300))),
        ("0", Some(Duration::ZERO)),
        ("0s", Some(Duration::ZERO)),
        ("+5s", Some(Duration::from_secs(5))),
        ("-5s", Some(Duration::ZERO)),
        (".5s", Some(Duration::from_millis(500))),
        ("1.s", Some(Duration::from_secs(1))),
        ("1h2m3.000000004s", Some(Duration::new(3723, 4))),
        ("1.0000000000000000000009s", Some(Duration::from_secs(1))),
        ("12us", Some(Duration::from_micros(12))),
        ("12\u{b5}s", Some(Duration::from_micros(12))),
        ("12\u{3bc}s", Some(Duration::from_micros(12))),
        ("1s1s", Some(Duration::from_secs(2))),
        ("9223372036854775807ns", Some(Duration::from_nanos(i64::MAX.unsigned_abs()))),
        ("9223372036854775808ns", None),
        ("99999999999999999999h", None),
        ("", None),
        ("-", None),
        ("5", None),
        ("s", None),
        (".s", None),
        ("5 s", None),
        ("5d", None),
        ("5S", None),
        ("5s ", None),
        ("5sm", None),
        ("\u{e9}s", None),
    ] {
        assert_eq!(duration::parse(text), expected, "{text:?}");
    }
}

#[test]
fn durations_are_written_as_go_writes_them() {
    for (value, expected) in [
        (Duration::ZERO, "0s"),
        (NANOSECOND, "1ns"),
        (NANOSECOND * 1100, "1.1\u{b5}s"),
        (Duration::from_micros(2200), "2.2ms"),
        (Duration::from_millis(300), "300ms"),
        (Duration::from_millis(1500), "1.5s"),
        (Duration::from_secs(5), "5s"),
        (Duration::from_mins(1), "1m0s"),
        (Duration::from_hours(1), "1h0m0s"),
        (Duration::new(3723, 4), "1h2m3.000000004s"),
        (Duration::MAX, "2562047h47m16.854775807s"),
    ] {
        assert_eq!(duration::format(value), expected);
        let read = duration::parse(expected).unwrap();
        assert_eq!(read, value.min(Duration::from_nanos(i64::MAX.unsigned_abs())), "{expected}");
    }
}

#[test]
fn metadata_says_who_calls_what_and_for_how_long() {
    let caller = Identity {
        server_id: "front-1".into(),
        incarnation: 7,
        server_type: "front".into(),
        serializer: "json".into(),
    };
    let written = metadata::write("room.room.hello", Duration::from_millis(1500), &caller);
    let read = metadata::read(&written).unwrap();
    assert_eq!(metadata::timeout(&read), Some(Duration::from_millis(1500)));
    let names: Vec<&str> = read.keys().map(String::as_str).collect();
    assert_eq!(names, ["peer.id", "peer.service", "req-route", "req-start-time", "reqTimeout", "request.id"]);
    assert_eq!((&read["peer.id"], &read["peer.service"]), (&"front-1".into(), &"front".into()));
    assert_eq!((&read["req-route"], &read["reqTimeout"]), (&"room.room.hello".into(), &"1.5s".into()));
    assert!(read["req-start-time"].as_i64().unwrap() > 1_600_000_000_000_000_000);
    let id = read["request.id"].as_str().unwrap();
    assert!(id.len() == 22 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    let again = metadata::read(&metadata::write("room.room.hello", Duration::from_secs(1), &caller)).unwrap();
    assert_ne!(again["request.id"], *id);
}

#[test]
fn metadata_of_others_may_be_missing_but_not_something_else() {
    assert!(metadata::read(b"").unwrap().is_empty());
    assert!(metadata::read(b"[]").is_err());
    assert!(metadata::read(b"{").is_err());
    for (text, timeout) in [
        (r"{}", None),
        (r#"{"reqTimeout":5}"#, None),
        (r#"{"reqTimeout":"soon"}"#, None),
        (r#"{"reqTimeout":"5s","own":{"a":[1]}}"#, Some(Duration::from_secs(5))),
    ] {
        assert_eq!(metadata::timeout(&metadata::read(text.as_bytes()).unwrap()), timeout, "{text}");
    }
}
