//! What handlers do with a session.

use super::*;

#[tokio::test]
async fn changes_are_local_until_saved_and_shared_by_clones() {
    let (record, _, copy, session) = world();
    let clone = session.clone();
    session.set("a", 1).unwrap();
    assert_eq!(clone.get::<u8>("a").unwrap(), Some(1));
    assert_eq!(handle(&copy).get::<u8>("a").unwrap(), None);
    assert_eq!(data(&record), json!({}));

    clone.save().await.unwrap();
    assert_eq!(data(&record), json!({"a": 1}));
    assert_eq!(handle(&copy).get::<u8>("a").unwrap(), Some(1), "the lane's next message sees it");

    session.remove("a").unwrap();
    assert_eq!((session.get::<u8>("a").unwrap(), handle(&copy).get("a").unwrap()), (None, Some(1)));
    session.save().await.unwrap();
    assert_eq!(data(&record), json!({}));
    assert_eq!(handle(&copy).get::<u8>("a").unwrap(), None);
    let version = record.version();
    session.save().await.unwrap();
    assert_eq!(record.version(), version, "nothing was changed");
}

#[tokio::test]
async fn saves_in_a_row_do_not_conflict_with_themselves() {
    let (record, _, _, session) = world();
    for number in 0..5 {
        assert_eq!(session.get::<i32>("a").unwrap(), (number > 0).then_some(number - 1));
        session.set("a", number).unwrap();
        session.save().await.unwrap();
    }
    session.set("a", "last").unwrap();
    session.save().await.unwrap();
    assert_eq!(data(&record), json!({"a": "last"}));
}

#[tokio::test]
async fn a_value_read_before_somebody_changed_it_is_not_overwritten() {
    let (record, _, copy, session) = world();
    record.set("a", &1).unwrap();
    copy.refresh(record.representation());
    assert_eq!(session.get::<u8>("a").unwrap(), Some(1));
    record.set("a", &2).unwrap();
    // Another message of the lane brings the newer value; this handler still goes by what it read.
    copy.refresh(record.representation());
    session.set("a", 11).unwrap();
    session.set("b", 1).unwrap();
    assert!(matches!(session.save().await, Err(SaveError::Conflict(_))));
    assert_eq!(data(&record), json!({"a": 2}));
    assert_eq!(session.get::<u8>("a").unwrap(), Some(2), "the conflict brought the current values");
    assert_eq!(session.get::<u8>("b").unwrap(), None, "and dropped the changes");
    session.set("a", 12).unwrap();
    session.save().await.unwrap();
    assert_eq!(data(&record), json!({"a": 12}));
}

#[tokio::test]
async fn a_conflict_refreshes_a_stale_copy() {
    let (record, _, copy, session) = world();
    record.set("a", &1).unwrap();
    session.set("a", 2).unwrap();
    assert!(matches!(session.save().await, Err(SaveError::Conflict(_))));
    assert_eq!((copy.version(), session.get::<u8>("a").unwrap()), (record.version(), Some(1)));
}

#[tokio::test]
async fn update_retries_with_current_values() {
    let (record, end, _, session) = world();
    record.set("hits", &10).unwrap();
    end.meanwhile.lock().extend([json!({"hits": 20}), json!({"other": 1}), json!({"hits": 99})]);
    let mut seen = Vec::new();
    session.set("mine", true).unwrap();
    let result = session
        .update(|session| {
            let hits = session.get::<u32>("hits")?.unwrap_or(0);
            seen.push(hits);
            session.set("hits", hits + 1)?;
            Ok(hits + 1)
        })
        .await;
    assert_eq!((result, seen), (Ok(21), vec![0, 20]));
    assert_eq!(data(&record), json!({"hits": 21, "other": 1}));
    assert_eq!(session.get::<bool>("mine").unwrap(), Some(true), "staged on the outer handle, still not saved");
}

#[tokio::test]
async fn update_gives_up_in_the_end_and_passes_other_errors_on() {
    let (record, end, _, session) = world();
    end.meanwhile.lock().extend((0..100).map(|number| json!({"a": number})));
    let mut tries = 0;
    let result = session
        .update(|session| {
            tries += 1;
            session.set("a", "mine")
        })
        .await;
    assert!(matches!(result, Err(SaveError::Conflict(_))));
    assert_eq!(tries, UPDATE_TRIES);
    end.meanwhile.lock().clear();

    let refused = session.update(|session| {
        session.set("a", "mine")?;
        Err::<(), _>(Error::new("ROOM-1", "no"))
    });
    assert_eq!(refused.await, Err(SaveError::Failed(Error::new("ROOM-1", "no"))));
    record.close(CloseReason::Kicked);
    assert_eq!(session.update(|session| session.set("a", 1)).await, Err(SaveError::Gone));
    let told = [SaveError::Gone, SaveError::Failed(Error::new("PIT-502", "lost"))].map(Error::from);
    let told = told.each_ref().map(|error| (error.code(), error.message()));
    assert_eq!(told, [("PIT-000", "session not found"), ("PIT-502", "lost")]);
}

#[tokio::test]
async fn a_failed_save_keeps_the_changes_for_another() {
    let (record, end, copy, session) = world();
    end.failures.lock().push_back(SaveError::Failed(Error::new("PIT-502", "the link was lost")));
    session.set("a", 1).unwrap();
    assert!(matches!(session.save().await, Err(SaveError::Failed(_))));
    assert_eq!(handle(&copy).get::<u8>("a").unwrap(), None);
    session.save().await.unwrap();
    assert_eq!(data(&record), json!({"a": 1}));
}

#[tokio::test]
async fn a_change_made_while_a_save_is_under_way_is_not_lost() {
    let (record, end, _, session) = world();
    session.set("a", 1).unwrap();
    session.set("b", 1).unwrap();
    let gate = Arc::new(Notify::new());
    *end.gate.lock() = Some(Arc::clone(&gate));
    let mut save = Box::pin(session.save());
    assert!(futures_util::poll!(save.as_mut()).is_pending());
    session.set("a", 2).unwrap();
    gate.notify_one();
    save.await.unwrap();
    assert_eq!(data(&record), json!({"a": 1, "b": 1}));
    assert_eq!(session.get::<u8>("a").unwrap(), Some(2));

    // It is based on the save before it, and all that is left to save.
    let version = record.version();
    gate.notify_one();
    session.save().await.unwrap();
    assert_eq!((data(&record), record.version()), (json!({"a": 2, "b": 1}), version + 1));
}

#[test]
fn values_of_another_type_are_errors_and_null_is_none() {
    let (_, _, _, session) = world();
    session.set("a", "text").unwrap();
    assert_eq!(session.get::<u8>("a").unwrap_err().code(), "PIT-500");
    session.set("a", None::<u8>).unwrap();
    assert_eq!(session.get::<u8>("a").unwrap(), None);
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
    assert_eq!(session.set("a", unwritable).unwrap_err().code(), "PIT-500");
}

#[tokio::test]
async fn a_bind_is_seen_by_the_lane_at_once() {
    let (record, _, copy, session) = world();
    assert_eq!(session.uid(), None);
    session.bind("ada").await.unwrap();
    assert_eq!((session.uid(), handle(&copy).uid()), (Some("ada".into()), Some("ada".into())));
    assert_eq!(session.bind("eve").await.unwrap_err().message(), "session is already bound to an uid");
    assert_eq!((session.uid(), record.uid()), (Some("ada".into()), Some("ada".into())));
    assert_eq!(session.frontend().server_type.as_ref(), "connector");
}

#[tokio::test(start_paused = true)]
async fn a_push_waits_for_room_until_the_deadline() {
    let (_, end, _, session) = world();
    *end.room.lock() = 1;
    session.push("first", &json!({"n": 1})).await.unwrap();
    assert_eq!(session.try_push("full", &Bytes::new()), Err(PushError::Full));

    let body = json!({"n": 2});
    let mut waiting = Box::pin(session.push("second", &body));
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    // Somebody else takes the room first.
    end.changed.notify_one();
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    *end.room.lock() = 1;
    end.changed.notify_one();
    waiting.await.unwrap();

    let begun = Instant::now();
    assert_eq!(session.push("third", &json!({})).await, Err(PushError::Full));
    assert_eq!(begun.elapsed().as_secs(), 10);
    let later = session.until(Instant::now() + Duration::from_secs(3));
    let begun = Instant::now();
    assert_eq!(later.push_bytes("third", "x").await, Err(PushError::Full));
    assert_eq!(begun.elapsed().as_secs(), 3);
    let pushes: Vec<_> = end.pushes.lock().clone();
    let expected = [("first", "{\"n\":1}"), ("second", "{\"n\":2}")];
    assert_eq!(pushes, expected.map(|(route, body)| (route.to_owned(), Bytes::from(body))));
}

#[tokio::test]
async fn pushing_says_when_it_cannot() {
    let (record, end, _, session) = world();
    let copy = Copy::new(record.representation(), end.clone(), Arc::new(Serializer::Protobuf));
    let protobuf = Session::new(copy, Instant::now());
    assert!(matches!(protobuf.push("route", &json!({})).await, Err(PushError::Encode(_))));
    protobuf.push_bytes("route", Bytes::from_static(&[8, 1])).await.unwrap();
    assert_eq!(end.pushes.lock().len(), 1);
    record.close(CloseReason::ClientClosed);
    assert_eq!(session.push("route", &1).await, Err(PushError::Closed));
}

#[tokio::test]
async fn kicks_and_pins_go_to_the_other_end() {
    let (_, end, _, session) = world();
    session.kick();
    assert_eq!(*end.kicks.lock(), [KickReason::Application]);
    session.pin().await.unwrap();
    session.pin().await.unwrap();
    session.unpin();
    assert_eq!(*end.pins.lock(), 1);
}
