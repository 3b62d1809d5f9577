//! An API server that is away, forgets, or talks nonsense.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{
        list_watch::Event,
        progress::{Kind, Progress, Remark},
    },
    Api, Mode, PATIENCE, SLICES, TYPES, Topology, followed, rooms, server_type, slice, until,
};

use crate::topology::Source as _;

/// Changes while nobody can see them.
async fn away(api: &Api, changes: impl Fn(&Api)) {
    api.set_mode(Mode::Refused);
    api.cut();
    changes(api);
    sleep(Duration::from_mins(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_loses_no_change() {
    let api = Api::new();
    api.put(SLICES, slice("one", &["a"]));
    let (mut topology, watch) = followed(&api).await;
    for id in ["b", "c", "d"] {
        api.cut();
        api.put(SLICES, slice("one", &[id]));
        until(&mut topology, |view| rooms(view) == id).await;
    }
    assert_eq!(watch.status().lists, Some(2), "it was listed again");
}

#[tokio::test(start_paused = true)]
async fn while_the_api_is_away_the_view_stays_and_after_it_everything_is_known() {
    let api = Api::new();
    api.put(SLICES, slice("one", &["a"]));
    let (mut topology, watch) = followed(&api).await;
    away(&api, |api| {
        api.remove(SLICES, "one");
        api.put(SLICES, slice("two", &["b"]));
    })
    .await;
    assert_eq!(rooms(&topology.current()), "a");
    let status = watch.status();
    assert!(status.synced);
    assert!(status.age_seconds >= Some(60), "{status:?}");
    let trouble = status.trouble.unwrap();
    assert!(trouble.contains("cannot be watched: ") && trouble.contains("connection refused"), "{trouble}");

    let back = Instant::now();
    api.set_mode(Mode::Well);
    until(&mut topology, |view| rooms(view) == "b").await;
    assert!(back.elapsed() < Duration::from_secs(11), "it took {:?}", back.elapsed());
    sleep(Duration::from_secs(11)).await;
    assert_eq!((watch.status().trouble, watch.status().lists), (None, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_read_anew_replaces_the_view_when_it_is_complete_and_not_before() {
    let api = Api::new();
    for (name, id) in [("one", "a"), ("two", "b"), ("three", "c")] {
        api.put(SLICES, slice(name, &[id]));
    }
    let (mut topology, watch) = followed(&api).await;
    let before = api.requests().0;
    away(&api, |api| {
        api.remove(SLICES, "one");
        api.put(SLICES, slice("zero", &["z"]));
        api.forget();
        // Lists in pages are refused at what was forgotten; this was not.
        api.put(TYPES, server_type("room", "random"));
    })
    .await;
    api.set_pages(1, true);
    api.set_mode(Mode::Well);
    // The one page of server types, and two of slices, of which one is held.
    for held in 3..5 {
        api.until(|api| api.requests().0 == before + held).await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(rooms(&topology.current()), "abc");
        api.pages.notify_one();
    }
    until(&mut topology, |view| rooms(view) == "bcz").await;
    assert_eq!(watch.status().lists, Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_was_away_for_too_long_lists_anew() {
    // By an event, and by the status of the answer.
    for mode in [Mode::Well, Mode::Gone] {
        let api = Api::new();
        api.put(SLICES, slice("one", &["a"]));
        let (mut topology, watch) = followed(&api).await;
        away(&api, |api| {
            api.remove(SLICES, "one");
            api.forget();
        })
        .await;
        api.set_mode(mode);
        until(&mut topology, |view| rooms(view).is_empty()).await;
        assert!(watch.status().lists >= Some(3), "{mode:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_whose_next_page_is_forgotten_is_begun_anew() {
    let api = Api::new();
    for (name, id) in [("one", "a"), ("two", "b")] {
        api.put(SLICES, slice(name, &[id]));
    }
    api.set_pages(1, true);
    let (topology, watch) = Topology::kubernetes(api.access());
    api.until(|api| api.requests().0 == 3).await;
    api.forget();
    api.pages.notify_one();
    api.until(|api| api.requests().0 == 5).await;
    // What was forgotten is older than this.
    api.put(SLICES, slice("three", &["c"]));
    api.set_pages(1, false);
    api.pages.notify_one();
    timeout(PATIENCE, watch.synced()).await.unwrap();
    assert_eq!(rooms(&topology.current()), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_starts_while_the_api_is_away_waits_for_it() {
    let api = Api::new();
    api.put(SLICES, slice("one", &["a"]));
    for mode in [Mode::Refused, Mode::Status(503), Mode::Silent] {
        api.set_mode(mode);
        let (topology, watch) = Topology::kubernetes(api.access());
        assert!(timeout(Duration::from_mins(1), watch.synced()).await.is_err(), "{mode:?}");
        let trouble = watch.status().trouble.unwrap();
        let expected = match mode {
            Mode::Refused => "cannot be listed: ServiceError: connection refused",
            Mode::Silent => "cannot be listed: no answer within 30 s",
            _ => "cannot be listed: told to answer 503 (503)",
        };
        assert!(trouble.ends_with(expected), "{trouble}");
        assert_eq!((watch.status().synced, watch.status().age_seconds), (false, None));
        api.set_mode(Mode::Well);
        timeout(Duration::from_secs(45), watch.synced()).await.unwrap();
        assert_eq!(rooms(&topology.current()), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_the_api_is_asked_less_and_less_often() {
    for mode in
        [Mode::Status(503), Mode::Status(410), Mode::WatchStatus(403), Mode::WatchStatus(410), Mode::ShortWatches]
    {
        let api = Api::new();
        let (mut topology, _watch) = followed(&api).await;
        api.set_mode(mode);
        api.cut();
        let before = api.requests();
        sleep(Duration::from_mins(1)).await;
        let after = api.requests();
        let asked = after.0 - before.0 + after.1 - before.1;
        // Two kinds, of each some seven requests until the pause is longest, and then one in five to ten seconds.
        assert!((14..80).contains(&asked), "{mode:?}: {asked} requests");
        api.set_mode(Mode::Well);
        api.put(SLICES, slice("one", &["a"]));
        until(&mut topology, |view| rooms(view) == "a").await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_followed_by_a_new_list() {
    let status = r#"{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd","reason":"InternalError"}}"#;
    for line in ["not JSON at all", status] {
        let api = Api::new();
        api.put(SLICES, slice("one", &["a"]));
        let (mut topology, watch) = followed(&api).await;
        api.say(SLICES, line);
        api.put(SLICES, slice("one", &["b"]));
        until(&mut topology, |view| rooms(view) == "b").await;
        assert_eq!(watch.status().lists, Some(3), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_goes_silent_is_given_up() {
    let api = Api::new();
    let (_topology, _watch) = followed(&api).await;
    api.until(|api| api.requests().1 == 2).await;
    let begun = Instant::now();
    api.until(|api| api.requests().1 == 4).await;
    assert!(begun.elapsed() > Duration::from_mins(3), "they were given up after {:?}", begun.elapsed());
}

#[test]
fn an_outage_is_said_once_and_so_is_its_end() {
    let start = Instant::now();
    let mut seconds = 0;
    let mut progress = Progress::default();
    let trouble = || Event::Trouble("why".to_owned());
    let mut note = |progress: &mut Progress, kind, event: &Event| {
        seconds += 1;
        progress.note(kind, event, start + Duration::from_secs(seconds))
    };
    assert_eq!(note(&mut progress, Kind::EndpointSlices, &trouble()), Some(Remark::Waiting("why".into())));
    assert_eq!(note(&mut progress, Kind::ServerTypes, &trouble()), None);
    assert_eq!(note(&mut progress, Kind::EndpointSlices, &trouble()), None);
    // That something can be listed is not enough, nor that one of the two can be watched.
    assert_eq!(note(&mut progress, Kind::EndpointSlices, &Event::Listed(Vec::new())), None);
    assert_eq!(note(&mut progress, Kind::EndpointSlices, &Event::Current), None);
    assert_eq!(progress.status("arena", start).trouble.as_deref(), Some("why"));
    assert_eq!(note(&mut progress, Kind::ServerTypes, &Event::Listed(Vec::new())), None);
    assert_eq!(note(&mut progress, Kind::ServerTypes, &Event::Current), Some(Remark::Back(Duration::from_secs(6))));
    assert_eq!(note(&mut progress, Kind::ServerTypes, &Event::Current), None);
    progress.is_synced = true;
    assert_eq!(note(&mut progress, Kind::ServerTypes, &trouble()), Some(Remark::Lost("why".into())));
    // The age is that of the kind that was heard of longer ago.
    let status = progress.status("arena", start + Duration::from_secs(20));
    assert_eq!((status.age_seconds, status.lists), (Some(15), Some(2)));
}
