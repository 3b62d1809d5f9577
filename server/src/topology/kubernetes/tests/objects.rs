//! However the objects come about, the view is the one that they make.

use std::time::Duration;

use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any},
    prop_assert, prop_assert_eq, prop_oneof, proptest,
    sample::select,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    super::{list_watch::Event, objects::Objects},
    Api, Mode, SLICES, TYPES, followed, merged, server_type, slice, until,
};

/// Something that happens.
#[derive(Debug, Clone)]
enum Step {
    Put(&'static str, Value),
    Remove(&'static str, &'static str),
    Bookmark(&'static str),
    Cut,
    Forget,
    Mode(Mode),
    Pages(usize),
    Wait(u64),
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec!["one", "two", "three"])
}

fn object() -> impl Strategy<Value = (&'static str, Value)> {
    let slices = (name(), vec(select(vec!["a", "b", "c", "d"]), 0..4), any::<bool>(), any::<bool>()).prop_map(
        |(name, ids, is_ready, is_understood)| {
            let mut object = slice(name, &ids);
            for endpoint in object["endpoints"].as_array_mut().unwrap() {
                endpoint["conditions"] = json!({ "ready": is_ready });
            }
            if !is_understood && !is_ready {
                object["endpoints"] = json!(7);
            }
            (SLICES, object)
        },
    );
    let types = (name(), select(vec!["random", "sticky", "fastest"]))
        .prop_map(|(name, policy)| (TYPES, server_type(name, policy)));
    prop_oneof![2 => slices, 1 => types]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = || select(vec![SLICES, TYPES]);
    prop_oneof![
        8 => object().prop_map(|(kind, object)| Step::Put(kind, object)),
        4 => (kind(), name()).prop_map(|(kind, name)| Step::Remove(kind, name)),
        1 => kind().prop_map(Step::Bookmark),
        2 => Just(Step::Cut),
        1 => Just(Step::Forget),
        2 => select(vec![Mode::Well, Mode::Refused, Mode::Gone, Mode::Status(500), Mode::WatchStatus(410), Mode::ShortWatches])
            .prop_map(Step::Mode),
        1 => (1..4_usize).prop_map(Step::Pages),
        4 => (0..2000_u64).prop_map(Step::Wait),
    ]
}

async fn play(steps: Vec<Step>) {
    let api = Api::new();
    let (mut topology, _watch) = followed(&api).await;
    for step in steps {
        match step {
            Step::Put(kind, object) => api.put(kind, object),
            Step::Remove(kind, name) => api.remove(kind, name),
            Step::Bookmark(kind) => api.bookmark(kind),
            Step::Cut => api.cut(),
            Step::Forget => api.forget(),
            Step::Mode(mode) => api.set_mode(mode),
            Step::Pages(size) => api.set_pages(size, false),
            Step::Wait(milliseconds) => sleep(Duration::from_millis(milliseconds)).await,
        }
    }
    api.set_mode(Mode::Well);
    // When these are seen, all before them was.
    api.put(SLICES, slice("zz", &["z"]));
    api.put(TYPES, server_type("zz", "random"));
    until(&mut topology, |view| view.server("z").is_some() && view.types().any(|(name, _)| **name == *"zz")).await;
    let (slices, types) = (api.objects(SLICES), api.objects(TYPES));
    let (view, expected) = (topology.current(), merged(&slices, &types));
    assert!(view.is_same_view(&expected), "{view:?}\n{expected:?}");
    let bad = slices.iter().filter(|object| object["endpoints"] == 7).count()
        + types.iter().filter(|object| object["spec"]["routing"]["policy"] == "fastest").count();
    assert_eq!(view.skipped().undecodable, bad);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_happens_the_view_is_what_the_last_objects_make(steps in vec(step(), 0..40)) {
        let clock = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        clock.block_on(play(steps));
    }

    /// Without an API server: lists at any time, and events in any order between the two kinds.
    #[test]
    fn events_end_in_the_view_of_the_last_objects(
        steps in vec((object(), any::<bool>(), any::<u8>()), 0..60), order in any::<u64>(),
    ) {
        let (mut known, mut objects) = ([Vec::<Value>::new(), Vec::new()], Objects::default());
        let mut events: [Vec<Event>; 2] = [vec![Event::Listed(Vec::new())], vec![Event::Listed(Vec::new())]];
        for ((kind, object), is_removal, dice) in steps {
            let index = usize::from(kind == TYPES);
            known[index].retain(|other| other["metadata"]["name"] != object["metadata"]["name"]);
            events[index].push(if is_removal {
                Event::Removed(object)
            } else {
                known[index].push(object.clone());
                Event::Changed(object)
            });
            match dice {
                0..32 => events[index].push(Event::Listed(known[index].clone())),
                32..64 => events[index].push(Event::Current),
                _ => {}
            }
        }
        let mut left = events.map(IntoIterator::into_iter);
        for turn in 0.. {
            let first = usize::from(order.rotate_right(turn) & 1 == 1);
            let Some((index, event)) =
                [first, 1 - first].into_iter().find_map(|index| Some((index, left[index].next()?))) else { break };
            if index == 0 { objects.slices.apply(event) } else { objects.server_types.apply(event) };
        }
        prop_assert!(objects.are_complete());
        let (view, expected) = (objects.snapshot(), merged(&known[0], &known[1]));
        prop_assert!(view.is_same_view(&expected), "{view:?}\n{expected:?}");
        prop_assert_eq!(view.skipped().total() - view.skipped().undecodable, expected.skipped().total());
    }
}
