//! What a lane's copy shows.

use super::*;

fn representation(version: u64, uid: &'static str, data: &Value) -> Representation {
    Representation { id: id(256), uid: uid.into(), data: Bytes::from(data.to_string()), version }
}

fn copy(version: u64, data: &Value) -> Arc<Copy> {
    Copy::new(representation(version, "", data), Arc::new(LocalEnd::new(record())), Arc::default())
}

fn shows(copy: &Copy, key: &str) -> (Option<Value>, u64) {
    let reading = copy.read(key).unwrap();
    assert_eq!(reading.key, key);
    (reading.value.map(|value| serde_json::from_slice(&value).unwrap()), reading.version)
}

#[test]
fn a_newer_representation_replaces_the_base_and_an_older_does_not() {
    let copy = copy(5, &json!({"a": 1, "b": 1}));
    assert_eq!(shows(&copy, "a"), (Some(json!(1)), 5));
    copy.refresh(representation(4, "late", &json!({"a": 0})));
    copy.refresh(representation(5, "same", &json!({"a": 0})));
    assert_eq!((shows(&copy, "a"), copy.uid()), ((Some(json!(1)), 5), None));
    copy.refresh(representation(6, "ada", &json!({"a": 2})));
    assert_eq!(shows(&copy, "a"), (Some(json!(2)), 6));
    assert_eq!(shows(&copy, "b"), (None, 6));
    assert_eq!((copy.uid(), copy.version()), (Some(Text::from("ada")), 6));
}

#[test]
fn what_was_saved_here_stays_until_a_representation_is_as_new() {
    let copy = copy(5, &json!({"a": 1, "b": 1, "c": 1}));
    copy.saved(&changes(&json!({"a": 2, "b": null}), 5), 8);
    assert_eq!(shows(&copy, "a"), (Some(json!(2)), 8));
    assert_eq!(shows(&copy, "b"), (None, 8));
    assert_eq!(shows(&copy, "c"), (Some(json!(1)), 5));
    // A request sent before the save, with another server's change.
    copy.refresh(representation(7, "", &json!({"a": 1, "b": 1, "c": 7})));
    assert_eq!(shows(&copy, "a"), (Some(json!(2)), 8));
    assert_eq!(shows(&copy, "b"), (None, 8));
    assert_eq!(shows(&copy, "c"), (Some(json!(7)), 7));
    // One sent after it.
    copy.refresh(representation(8, "", &json!({"a": 2, "c": 7})));
    assert_eq!(shows(&copy, "a"), (Some(json!(2)), 8));
    copy.refresh(representation(9, "", &json!({"a": 9})));
    assert_eq!(shows(&copy, "a"), (Some(json!(9)), 9));
}

#[test]
fn acknowledgements_may_come_out_of_order() {
    let copy = copy(5, &json!({"a": 1}));
    copy.saved(&changes(&json!({"a": 8}), 5), 8);
    copy.saved(&changes(&json!({"a": 7, "b": 7}), 5), 7);
    assert_eq!(shows(&copy, "a"), (Some(json!(8)), 8));
    assert_eq!(shows(&copy, "b"), (Some(json!(7)), 7));
    copy.refresh(representation(10, "", &json!({"a": 10})));
    copy.saved(&changes(&json!({"a": 9}), 5), 9);
    assert_eq!(shows(&copy, "a"), (Some(json!(10)), 10));
}

#[test]
fn a_bound_uid_stays_until_a_representation_is_as_new() {
    let copy = copy(5, &json!({}));
    copy.bound("ada".into(), 7);
    copy.refresh(representation(6, "", &json!({"a": 1})));
    assert_eq!(copy.uid(), Some(Text::from("ada")));
    copy.refresh(representation(7, "ada", &json!({"a": 1})));
    assert_eq!(copy.uid(), Some(Text::from("ada")));
    copy.bound("late".into(), 6);
    assert_eq!(copy.uid(), Some(Text::from("ada")));
}

#[test]
fn data_that_is_no_object_is_an_error_of_reading_only() {
    let copy = Copy::new(
        Representation { data: Bytes::from_static(b"[1]"), ..representation(1, "ada", &json!({})) },
        Arc::new(LocalEnd::new(record())),
        Arc::default(),
    );
    assert_eq!(copy.uid(), Some(Text::from("ada")));
    assert_eq!(copy.read("a").unwrap_err().code(), "PIT-500");
    copy.refresh(Representation { data: Bytes::new(), ..representation(2, "", &json!({})) });
    assert_eq!(shows(&copy, "a"), (None, 2));
}

#[test]
fn a_detached_copy_lets_the_frame_go() {
    let frame = Bytes::from(format!("ada{}", json!({"a": [1, 2]})));
    let uid = Text::try_from(frame.slice(0..3)).unwrap();
    let base = Representation { id: id(256), uid, data: frame.slice(3..), version: 1 };
    let copy = Copy::new(base, Arc::new(LocalEnd::new(record())), Arc::default());
    assert_eq!(shows(&copy, "a").0, Some(json!([1, 2])));
    assert!(!frame.is_unique());
    copy.detach();
    assert!(frame.is_unique());
    assert_eq!((shows(&copy, "a").0, copy.uid()), (Some(json!([1, 2])), Some(Text::from("ada"))));
}
