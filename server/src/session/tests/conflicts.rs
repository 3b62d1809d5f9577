//! When a save passes.

use super::*;

#[test]
fn a_save_passes_unless_a_changed_key_is_newer_than_it_was_read() {
    // The record: `a` set at 2, `b` set at 3, `c` set at 4 and removed at 5, the user bound at 6.
    let check = |values: Value, read: u64, passes: bool| {
        let record = record();
        record.set("a", &1).unwrap();
        record.set("b", &1).unwrap();
        record.set("c", &1).unwrap();
        record.apply(&changes(&json!({"c": null}), 4)).unwrap();
        record.bind("ada").unwrap();
        let before = record.representation();
        match record.apply(&changes(&values, read)) {
            Ok(version) => {
                assert!(passes, "{values} read at {read} passed");
                assert_eq!(version, 7);
            }
            Err(SaveError::Conflict(Conflict { current })) => {
                assert!(!passes, "{values} read at {read} conflicted");
                assert_eq!(current, before);
                assert_eq!(record.representation(), before, "nothing is applied");
            }
            Err(error) => panic!("{error}"),
        }
    };
    check(json!({"a": 2}), 2, true);
    check(json!({"a": 2}), 1, false);
    check(json!({"b": 2}), 2, false);
    check(json!({"a": 2, "b": 2}), 2, false);
    check(json!({"a": 2, "b": null}), 3, true);
    check(json!({"c": 2}), 4, false);
    check(json!({"c": 2}), 5, true);
    check(json!({"c": null}), 4, false);
    check(json!({"new": 2}), 1, true);
    check(json!({"a": 2}), 100, true);
}

#[test]
fn each_key_has_the_version_it_was_read_at() {
    let record = record();
    record.set("a", &1).unwrap();
    record.set("b", &1).unwrap();
    let mut save = changes(&json!({"a": 2, "b": 3}), 2);
    assert!(matches!(record.apply(&save), Err(SaveError::Conflict(_))));
    save.entries[1].read_version = 3;
    assert_eq!(record.apply(&save), Ok(4));
    assert_eq!(data(&record), json!({"a": 2, "b": 3}));
}

#[test]
fn a_save_that_is_not_json_changes_nothing() {
    let record = record();
    for broken in ["", "{", "1 2", "x", "\u{feff}1"] {
        let mut save = changes(&json!({"a": 1, "b": 2}), 1);
        save.entries[1].value = Some(Bytes::from(broken.to_owned()));
        let Err(SaveError::Failed(error)) = record.apply(&save) else { panic!("{broken} was saved") };
        assert_eq!(error.code(), "PIT-400");
    }
    assert_eq!((data(&record), record.version()), (json!({}), 1));
}

#[test]
fn an_empty_save_is_none_and_a_closed_session_is_gone() {
    let record = record();
    assert_eq!(record.apply(&Changes::default()), Ok(1));
    record.close(CloseReason::Draining);
    assert_eq!(record.apply(&changes(&json!({"a": 1}), 1)), Err(SaveError::Gone));
}

#[test]
fn save_errors_keep_their_code_on_the_way_to_the_client() {
    let cause = Error::new("PIT-502", "the link was lost");
    let error: Box<dyn std::error::Error + Send + Sync> = SaveError::Failed(cause).into();
    assert_eq!(Error::from(error).code(), "PIT-502");
    let error: Box<dyn std::error::Error + Send + Sync> = SaveError::Gone.into();
    let error = Error::from(error);
    assert_eq!((error.code(), error.message()), ("PIT-000", "session not found"));
    assert_eq!(Error::from(PushError::Full).code(), "PIT-503");
}
