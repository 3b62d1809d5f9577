//! The authoritative record.

use super::super::values::MAX_TOMBSTONES;
use super::*;

#[test]
fn values_are_encoded_once_per_version() {
    let record = record();
    assert_eq!(&*record.representation().data, b"{}");
    record.set("ipversion", "ipv4").unwrap();
    let first = record.representation();
    assert_eq!(&*first.data, br#"{"ipversion":"ipv4"}"#);
    assert_eq!(first.data.as_ptr(), record.representation().data.as_ptr(), "shared");
    record.bind("ada").unwrap();
    let bound = record.representation();
    assert_eq!((bound.uid.as_str(), bound.version), ("ada", first.version + 1));
    assert_eq!(first.data.as_ptr(), bound.data.as_ptr(), "a bind changes no value");
    record.set("a", &1).unwrap();
    assert_eq!(&*record.representation().data, br#"{"a":1,"ipversion":"ipv4"}"#);
}

#[test]
fn keys_of_any_text_are_encoded() {
    let record = record();
    for key in ["", "\"", "\\", "a\nb", "\u{1}", "ключ", "🎲"] {
        record.set(Text::copied(key), key).unwrap();
    }
    let Value::Object(values) = data(&record) else { panic!("an object") };
    assert_eq!(values.len(), 7);
    assert!(values.iter().all(|(key, value)| value == key));
}

#[test]
fn get_reads_what_set_wrote() {
    let record = record();
    record.set("a", &vec![1, 2]).unwrap();
    assert_eq!(record.get::<Vec<u8>>("a").unwrap(), Some(vec![1, 2]));
    assert_eq!(record.get::<String>("b").unwrap(), None);
    assert_eq!(record.get::<String>("a").unwrap_err().code(), "PIT-500");
    record.set("a", &Value::Null).unwrap();
    assert_eq!(record.get::<String>("a").unwrap(), None);
}

#[test]
fn binding_refuses_what_pitaya_refuses() {
    let record = record();
    let error = record.bind("").unwrap_err();
    assert_eq!((error.code(), error.message()), ("PIT-000", "illegal uid"));
    assert_eq!(record.uid(), None);
    record.bind("ada").unwrap();
    let error = record.bind("ada").unwrap_err();
    assert_eq!((error.code(), error.message()), ("PIT-000", "session is already bound to an uid"));
    assert_eq!(record.uid(), Some(Text::from("ada")));
    let closed = Record::new(id(1));
    closed.close(CloseReason::ClientClosed);
    assert_eq!(closed.bind("ada").unwrap_err().message(), "session not found");
}

#[test]
fn replacing_sets_and_removes() {
    let record = record();
    record.set("a", &1).unwrap();
    record.set("b", &2).unwrap();
    let read = record.version();
    record.replace(br#" {"b": 3, "c": [4] } "#).unwrap();
    assert_eq!(data(&record), json!({"b": 3, "c": [4]}));
    assert!(record.apply(&changes(&json!({"a": 5}), read)).is_err(), "a was removed since");
    let version = record.version();
    assert_eq!(record.replace(b"").unwrap(), version);
    for broken in ["[]", "{", "{} {}", "null"] {
        assert_eq!(record.replace(broken.as_bytes()).unwrap_err().code(), "PIT-400", "{broken}");
    }
    assert_eq!(record.version(), version);
}

#[test]
fn saved_values_do_not_keep_the_frame_they_came_in() {
    let record = record();
    let frame = Bytes::from(vec![b'7'; 65_536]);
    let key = Text::try_from(frame.slice(0..3)).unwrap();
    let uid = Text::try_from(frame.slice(4..7)).unwrap();
    record.apply(&Changes { entries: vec![Change { key, value: Some(frame.slice(8..10)), read_version: 1 }] }).unwrap();
    record.bind(&uid).unwrap();
    drop(uid);
    assert!(frame.is_unique());
    assert_eq!(&*record.representation().data, br#"{"777":77}"#);
}

#[test]
fn an_idle_record_is_small() {
    // What the allocator is asked for: the record with its two counts, the entry of one value, that value, and the
    // encoded data with the counter it gets when it is first shared.
    let allocations = [16 + size_of::<Record>(), super::super::values::ENTRY, "\"ipv4\"".len(), 20, 24];
    let total: usize = allocations.iter().map(|size| size.next_multiple_of(16)).sum();
    assert!(total < 400, "{total} bytes");
}

#[test]
fn removed_keys_are_forgotten_in_the_end_but_never_let_a_stale_save_pass() {
    let record = record();
    record.set("kept", &1).unwrap();
    let stale = record.version();
    for number in 0..10 * MAX_TOMBSTONES {
        let key = format!("room-{number}");
        record.set(Text::copied(&key), &1).unwrap();
        record.apply(&changes(&json!({ key: null }), record.version())).unwrap();
    }
    assert!(record.remembered() <= MAX_TOMBSTONES + 1, "{}", record.remembered());
    for number in [0, 5 * MAX_TOMBSTONES, 10 * MAX_TOMBSTONES - 1] {
        let save = changes(&json!({ format!("room-{number}"): 2 }), stale);
        assert!(matches!(record.apply(&save), Err(SaveError::Conflict(_))), "room-{number}");
    }
    // A key that lives is not concerned, and whoever reads again gets through.
    record.apply(&changes(&json!({"kept": 2}), stale)).unwrap();
    record.apply(&changes(&json!({"room-0": 2}), record.version())).unwrap();
}
