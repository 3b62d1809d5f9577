//! The pool.

use std::thread;

use super::*;

fn entry(number: i64) -> Arc<Entry> {
    let record = Arc::new(Record::new(id(number)));
    Arc::new(Entry { record: Arc::clone(&record), entity: Arc::new(LocalEnd::new(record)) })
}

fn bound(pool: &Pool, number: i64, uid: &str) -> Arc<Entry> {
    let entry = entry(number);
    pool.insert(Arc::clone(&entry));
    entry.record.bind(uid).unwrap();
    entry
}

#[test]
fn sessions_are_found_by_id_and_user() {
    let pool = Pool::new();
    let ada = bound(&pool, 1, "ada");
    assert!(pool.by_uid("ada").is_none());
    assert!(pool.bind_unique("ada", &ada).is_none());
    assert!(Arc::ptr_eq(&pool.by_uid("ada").unwrap(), &ada));
    assert!(Arc::ptr_eq(&pool.get(id(1)).unwrap(), &ada));
    assert!(pool.get(id(2)).is_none());
    assert_eq!((pool.len(), pool.users(), pool.entries().len()), (1, 1, 1));
    assert!(Arc::ptr_eq(&pool.remove(id(1)).unwrap(), &ada));
    assert!(pool.remove(id(1)).is_none());
    assert!(pool.is_empty() && pool.by_uid("ada").is_none());
}

#[test]
fn the_newer_session_of_a_user_takes_the_place_and_keeps_it() {
    let pool = Pool::new();
    let (old, new) = (bound(&pool, 1, "ada"), bound(&pool, 2, "ada"));
    assert!(pool.bind_unique("ada", &old).is_none());
    assert!(Arc::ptr_eq(&pool.bind_unique("ada", &new).unwrap(), &old));
    assert!(pool.bind_unique("ada", &new).is_none(), "it replaces nobody but itself");
    pool.remove(id(1));
    assert!(Arc::ptr_eq(&pool.by_uid("ada").unwrap(), &new), "the old one no longer had the place");
    pool.remove(id(2));
    assert_eq!(pool.users(), 0);
}

#[test]
fn only_a_bound_session_of_the_pool_gets_a_place() {
    let pool = Pool::new();
    let unbound = entry(1);
    pool.insert(Arc::clone(&unbound));
    assert!(pool.bind_unique("ada", &unbound).is_none());
    let elsewhere = entry(2);
    elsewhere.record.bind("ada").unwrap();
    assert!(pool.bind_unique("ada", &elsewhere).is_none());
    assert_eq!(pool.users(), 0);
}

#[test]
fn a_session_removed_just_before_it_gets_its_place_leaves_nothing() {
    let pool = Pool::new();
    let ada = bound(&pool, 1, "ada");
    pool.remove(id(1));
    assert!(pool.place(&"ada".into(), &ada).is_none());
    assert!(pool.by_uid("ada").is_none());
}

#[test]
fn a_session_removed_while_it_is_bound_leaves_nothing() {
    for _ in 0..300 {
        let pool = Pool::new();
        let entry = entry(1);
        pool.insert(Arc::clone(&entry));
        thread::scope(|scope| {
            scope.spawn(|| {
                if entry.record.bind("ada").is_ok() {
                    pool.bind_unique("ada", &entry);
                }
            });
            scope.spawn(|| {
                entry.record.close(CloseReason::ClientClosed);
                pool.remove(id(1));
            });
        });
        assert_eq!((pool.len(), pool.users()), (0, 0));
    }
}
