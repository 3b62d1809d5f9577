//! Any interleaving of writers and messages, against a model that is obviously right.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const COPIES: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    /// A message reaches this copy with the session as it is now.
    Refresh(usize),
    /// A message is made now and arrives later.
    Send(usize),
    Arrive(usize),
    /// A handler of this copy reads, changes and saves a key.
    Save(usize, u8, Option<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..4_u8;
    prop_oneof![
        1 => (0..COPIES).prop_map(Step::Refresh),
        1 => (0..COPIES).prop_map(Step::Send),
        1 => (0..COPIES).prop_map(Step::Arrive),
        4 => (0..COPIES, key, proptest::option::of(any::<u8>())).prop_map(|(copy, key, value)| Step::Save(copy, key, value)),
    ]
}

proptest! {
    #[test]
    fn no_save_overwrites_what_its_writer_did_not_see(steps in proptest::collection::vec(step(), 0..120)) {
        let record = record();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let end: Arc<dyn Entity> = Arc::new(LocalEnd::new(Arc::clone(&record)));
        let copies: Vec<_> = (0..COPIES).map(|_| Copy::new(record.representation(), Arc::clone(&end), Arc::default())).collect();
        let mut model: BTreeMap<String, u8> = BTreeMap::new();
        let mut under_way: Vec<Vec<Representation>> = vec![Vec::new(); COPIES];
        for step in steps {
            match step {
                Step::Refresh(copy) => copies[copy].refresh(record.representation()),
                Step::Send(copy) => under_way[copy].push(record.representation()),
                Step::Arrive(copy) => under_way[copy].drain(..).for_each(|sent| copies[copy].refresh(sent)),
                Step::Save(copy, key, value) => {
                    let key = format!("key-{key}");
                    let session = handle(&copies[copy]);
                    let seen = session.get::<u8>(&key).unwrap();
                    match value {
                        Some(value) => session.set(&key, value).unwrap(),
                        None => session.remove(&key).unwrap(),
                    }
                    let current = model.get(&key).copied();
                    match runtime.block_on(session.save()) {
                        Ok(()) => {
                            prop_assert_eq!(seen, current, "{} was overwritten unseen", key);
                            match value {
                                Some(value) => model.insert(key.clone(), value),
                                None => model.remove(&key),
                            };
                            // The lane's next message sees it.
                            prop_assert_eq!(handle(&copies[copy]).get::<u8>(&key).unwrap(), value);
                        }
                        Err(SaveError::Conflict(_)) => {
                            prop_assert_eq!(session.get::<u8>(&key).unwrap(), current, "{} is not refreshed", key);
                        }
                        Err(error) => prop_assert!(false, "{}", error),
                    }
                }
            }
            prop_assert_eq!(data(&record), json!(model));
        }
        // With the last representation every copy shows the same as the record.
        for copy in &copies {
            copy.refresh(record.representation());
            for (key, value) in &model {
                prop_assert_eq!(handle(copy).get::<u8>(key).unwrap(), Some(*value));
            }
        }
    }
}
