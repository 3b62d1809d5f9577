use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::{
    handler::{Marks, RegistryError, blocking, concurrent, detached},
    session::CloseReason,
};

async fn first() -> &'static str {
    "first"
}

async fn second() -> &'static str {
    "second"
}

#[test]
fn a_route_that_is_registered_twice_names_both_handlers() {
    let check = |services: Vec<Service>| {
        let builder =
            services.into_iter().fold(Registry::builder(), |builder, service| builder.service("test", service));
        let Err(RegistryError::Duplicate { route, first, second }) = builder.build() else { panic!("no error") };
        assert_eq!(route, "test.hello");
        assert!(first.starts_with("request `cereus::") && first.ends_with("::first`"), "{first}");
        assert!(second.ends_with("::second`"), "{second}");
    };
    check(vec![Service::new().request("hello", first).request("hello", second)]);
    check(vec![Service::new().request("hello", first).notify("hello", concurrent(second))]);
    check(vec![Service::new().request("hello", first), Service::new().remote("hello", second)]);
}

#[test]
fn a_name_that_is_no_part_of_a_route_is_refused() {
    for (service, method) in [("", "hello"), ("test", " "), ("a.b", "hello"), ("test", "a.b")] {
        let result = Registry::builder().service(service, Service::new().request(method, first)).build();
        assert!(matches!(result, Err(RegistryError::Name { .. })), "{service:?} {method:?}");
    }
}

#[test]
fn two_services_of_one_name_share_it() {
    let registry = Registry::builder()
        .service("test", Service::new().request("first", first))
        .service("test", Service::new().remote("second", second))
        .build()
        .unwrap();
    let names: Vec<_> = registry.entries().iter().map(|entry| (entry.name(), entry.kind())).collect();
    assert_eq!(names, [("test.first", Kind::Request), ("test.second", Kind::Remote)]);
}

#[test]
fn marks_are_combined() {
    let registry = registry(
        Service::new()
            .request("none", first)
            .request("two", concurrent(detached(first)))
            .request("other_two", detached(blocking(first))),
    );
    let marks = |method: &str| {
        let Marks { concurrent, blocking, detached } = registry.lookup(&format!("test.{method}")).unwrap().marks();
        (concurrent, blocking, detached)
    };
    assert_eq!(marks("none"), (false, false, false));
    assert_eq!(marks("two"), (true, false, true));
    assert_eq!(marks("other_two"), (false, true, true));
}

#[tokio::test]
async fn a_message_finds_only_what_is_for_it() {
    let registry =
        registry(Service::new().request("request", first).notify("notify", async || ()).remote("remote", second));
    let check = |kind, method: &str, expected: Result<(), Error>| {
        let route = format!("test.{method}");
        assert_eq!(registry.find(kind, "connector", &route).map(|_| ()), expected, "{kind} {method}");
    };
    let missing = |method| Err(Error::new("PIT-404", format!("pitaya/handler: connector.test.{method} not found")));
    let missing_remote = |method| Err(Error::new("PIT-404", "route not found").with("route", format!("test.{method}")));
    check(Kind::Request, "request", Ok(()));
    check(Kind::Notify, "request", Ok(()));
    check(Kind::Request, "notify", Err(Error::new("PIT-400", "tried to request a notify route")));
    check(Kind::Notify, "notify", Ok(()));
    check(Kind::Request, "remote", missing("remote"));
    check(Kind::Notify, "remote", missing("remote"));
    check(Kind::Request, "other", missing("other"));
    check(Kind::Remote, "remote", Ok(()));
    check(Kind::Remote, "request", missing_remote("request"));
}

#[tokio::test]
async fn a_notify_for_a_request_route_is_warned_of_once() {
    let (log, _guard) = Log::capture();
    let registry = registry(Service::new().request("hello", first));
    for _ in 0..3 {
        assert!(call(&registry, context(Kind::Notify, "hello", b"")).await.is_ok());
    }
    assert_eq!(log.text().matches("WARN").count(), 1, "{}", log.text());
    assert!(log.text().contains(r#"route="test.hello""#));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_runs_every_service_in_order() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let stuck = order.clone();
    let last = order.clone();
    let hooked = Arc::new(AtomicUsize::new(0));
    let hook = hooked.clone();
    let mut builder = Registry::builder();
    builder.hooks().push_before(move |_: &mut Context| {
        hook.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok::<(), Error>(()))
    });
    let registry = builder
        .service("first", Service::new().on_disconnect(async || -> () { panic!("a game's mistake") }))
        .service(
            "second",
            Service::new().on_disconnect(move || {
                stuck.lock().push("second".to_owned());
                std::future::pending::<()>()
            }),
        )
        .service(
            "third",
            Service::new().on_disconnect(move |context: Context, reason: CloseReason| {
                last.lock().push(format!("third {} {}", reason, context.kind));
                std::future::ready(())
            }),
        )
        .build()
        .unwrap();
    assert!(registry.has_disconnect());
    registry.disconnected(context(Kind::Notify, "hello", b""), CloseReason::Kicked, &runtime()).await;
    assert_eq!(*order.lock(), ["second", "third kicked disconnect"]);
    let counts = registry.counts();
    assert_eq!((counts.panicked, counts.dropped, counts.handled), (1, 1, 1));
    assert_eq!(hooked.load(Ordering::Relaxed), 0);
}
