use std::{future::pending, sync::mpsc, task::Poll, thread};

use futures_util::FutureExt;
use tokio::{sync::oneshot, time::sleep};

use super::*;
use crate::{
    handler::{blocking, detached, log_limit, log_limit::LogLimit},
    request::Cancelled,
    wire::codes,
};

type Dropped = Arc<OnceLock<Instant>>;

#[test]
fn settings_have_defaults_and_no_other_keys() {
    let config: Config = serde_json::from_str(r#"{"grace":"500ms"}"#).unwrap();
    assert_eq!(config, Config { grace: Duration::from_millis(500), ..Config::default() });
    assert!(serde_json::from_str::<Config>(r#"{"graze":"1s"}"#).is_err());
}

#[tokio::test]
async fn a_panic_ends_with_its_request() {
    let (log, _guard) = Log::capture();
    let registry = registry(
        Service::new()
            .request("sync", |_: Bytes| -> std::future::Ready<()> { panic!("before the first poll") })
            .request("first", async || -> Bytes { panic!("in poll {}", 1) })
            .request("later", async || -> Bytes {
                tokio::task::yield_now().await;
                panic!("in poll {}", 2)
            })
            .request("value", async || -> Bytes { std::panic::panic_any(7) }),
    );
    for (method, said) in
        [("sync", "before the first poll"), ("first", "in poll 1"), ("later", "in poll 2"), ("value", "not a text")]
    {
        let error = failed(request(&registry, method, b"secret payload").await);
        assert_eq!(error, ("PIT-500".into(), "internal error".into()), "{method}");
        let text = log.text();
        let line = text.lines().find(|line| line.contains(&format!(r#"route="test.{method}""#))).unwrap();
        assert!(line.contains("ERROR") && line.contains("request_id=7") && line.contains(said), "{line}");
    }
    assert!(!log.text().contains("secret"));
    let counts = registry.counts();
    assert_eq!((counts.panicked, counts.handled), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_handler_is_dropped_is_caught() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb");
        }
    }
    let registry = registry(Service::new().request("bomb", async || {
        let _bomb = Bomb;
        pending::<()>().await;
    }));
    assert_eq!(failed(request(&registry, "bomb", b"").await).0, "PIT-504");
    let counts = registry.counts();
    assert_eq!((counts.panicked, counts.dropped), (1, 1));
    // So is one when the lane that waits for it ends.
    let mut running = Box::pin(request(&registry, "bomb", b""));
    assert!(running.as_mut().now_or_never().is_none());
    drop(running);
    assert_eq!(registry.counts().panicked, 2);
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_is_dropped_when_its_grace_is_over() {
    let dropped = Dropped::default();
    let witness = dropped.clone();
    let registry = registry(Service::new().request("stuck", move || {
        let guard = OnDrop(witness.clone());
        async move {
            let _guard = guard;
            pending::<()>().await;
        }
    }));
    let start = Instant::now();
    let error = failed(request(&registry, "stuck", b"").await);
    assert_eq!(error.0, codes::DEADLINE);
    assert_eq!(dropped.get().unwrap().duration_since(start).as_millis(), (TIMEOUT + GRACE).as_millis());
    assert_eq!((registry.counts().dropped, registry.counts().handled), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_token_fires_at_the_deadline_and_gives_time_to_clean_up() {
    let cleaned = Dropped::default();
    let witness = cleaned.clone();
    let registry = registry(Service::new().request("polite", move |Cancelled(token): Cancelled| {
        let witness = witness.clone();
        async move {
            token.cancelled().await;
            sleep(Duration::from_secs(1)).await;
            let _ = witness.set(Instant::now());
            "late"
        }
    }));
    let start = Instant::now();
    assert_eq!(failed(request(&registry, "polite", b"").await).0, codes::DEADLINE);
    assert_eq!(cleaned.get().unwrap().duration_since(start).as_secs(), 11);
    let counts = registry.counts();
    assert_eq!((counts.handled, counts.failed, counts.dropped), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_asked_for_through_the_context_fires_too() {
    let registry = registry(Service::new().request("polite", async |context: Context| {
        tokio::task::yield_now().await;
        context.cancellation().cancelled().await;
    }));
    let start = Instant::now();
    assert_eq!(failed(request(&registry, "polite", b"").await).0, codes::DEADLINE);
    assert_eq!(start.elapsed().as_secs(), TIMEOUT.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_detached_handler_runs_to_its_end() {
    let registry = registry(Service::new().request(
        "save",
        detached(async |Cancelled(token): Cancelled| {
            sleep(Duration::from_mins(1)).await;
            assert!(token.is_cancelled());
            "saved"
        }),
    ));
    let start = Instant::now();
    assert_eq!(failed(request(&registry, "save", b"").await).0, codes::DEADLINE);
    assert_eq!(start.elapsed().as_secs(), 60);
    let counts = registry.counts();
    assert_eq!((counts.handled, counts.dropped, counts.panicked), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_ends_in_time_is_answered() {
    let registry = registry(Service::new().request("slow", async || {
        sleep(Duration::from_millis(9_999)).await;
        "in time"
    }));
    assert_eq!(request(&registry, "slow", b"").await.as_deref(), Ok(&b"in time"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_time_is_over_is_not_run() {
    let registry = registry(Service::new().request("run", async || -> Bytes { panic!("it ran") }));
    let mut late = context(Kind::Request, "run", b"");
    late.deadline = Instant::now();
    assert_eq!(failed(call(&registry, late).await).0, codes::DEADLINE);
    assert_eq!(registry.counts(), crate::handler::Counts { expired: 1, ..Default::default() });
}

/// Without a runtime a timer would panic, so this would not pass if one were made.
#[test]
fn a_handler_that_is_ready_at_once_needs_no_timer() {
    let blocking_runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let runtime = Runtime::new(Config::default(), blocking_runtime.handle().clone());
    let registry = registry(Service::new().request("echo", async |body: Bytes| body));
    let entry = registry.lookup("test.echo").unwrap().clone();
    let answer = execute(entry, context(Kind::Request, "echo", b"woow"), &runtime, Instant::now()).now_or_never();
    assert_eq!(answer.unwrap().result.as_deref(), Ok(&b"woow"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_poll_does_not_repeat_without_a_wake() {
    let polls = Arc::new(Mutex::new(0));
    let counted = polls.clone();
    let registry = registry(Service::new().request("count", move || {
        let polls = counted.clone();
        std::future::poll_fn(move |_| {
            *polls.lock() += 1;
            Poll::<()>::Pending
        })
    }));
    let _ = request(&registry, "count", b"").await;
    // Once when called, once at the deadline, once when the grace is over.
    assert_eq!(*polls.lock(), 3);
}

#[tokio::test]
async fn polls_that_hold_up_the_worker_are_counted_and_logged_once() {
    let (log, _guard) = Log::capture();
    let registry = registry(Service::new().request("compute", async || {
        for _ in 0..2 {
            thread::sleep(Duration::from_millis(25));
            tokio::task::yield_now().await;
        }
        "done"
    }));
    assert!(request(&registry, "compute", b"").await.is_ok());
    assert_eq!(registry.counts().slow_polls, 2);
    assert_eq!(log.text().matches("held up its worker").count(), 1);
    assert!(log.text().contains(r#"route="test.compute""#));
}

#[tokio::test(start_paused = true)]
async fn a_log_line_is_written_once_per_interval() {
    let limit = LogLimit::new();
    let start = Instant::now();
    assert!(limit.allows(start));
    assert!(!limit.allows(start + log_limit::INTERVAL / 2));
    assert!(limit.allows(start + log_limit::INTERVAL));
    assert!(!limit.allows(start + log_limit::INTERVAL));
}

#[tokio::test]
async fn failures_are_logged_without_what_was_sent() {
    let (log, _guard) = Log::capture();
    let registry = registry(
        Service::new()
            .request("parse", async |_: crate::handler::Json<bool>| "unreachable")
            .request("store", async || {
                Err::<(), _>(anyhow::anyhow!("connection refused").context("the store is away"))
            }),
    );
    assert!(request(&registry, "parse", br#""secret""#).await.unwrap_err().message().contains("secret"));
    assert!(!log.text().contains("secret") && log.text().contains("PIT-400"), "{}", log.text());
    assert!(request(&registry, "store", b"").await.is_err());
    assert!(log.text().contains("the store is away: connection refused"), "{}", log.text());
}

#[tokio::test]
async fn a_blocking_handler_leaves_the_worker_free() {
    let worker = thread::current().id();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let registry = registry(Service::new().request(
        "compute",
        blocking(move || {
            assert_ne!(thread::current().id(), worker);
            released.lock().recv().unwrap();
            std::future::ready("computed")
        }),
    ));
    let running = request(&registry, "compute", b"");
    // The handler waits for what this thread does: it could not if it ran here.
    let release = async {
        tokio::task::yield_now().await;
        release.send(()).unwrap();
    };
    let (answer, ()) = tokio::join!(running, release);
    assert_eq!(answer.as_deref(), Ok(&b"computed"[..]));
    assert_eq!(registry.counts().slow_polls, 0);
}

#[tokio::test]
async fn a_panic_of_a_blocking_handler_ends_with_its_request() {
    let registry = registry(Service::new().request("compute", blocking(async || -> Bytes { panic!("no") })));
    assert_eq!(failed(request(&registry, "compute", b"").await), ("PIT-500".into(), "internal error".into()));
    assert_eq!(registry.counts().panicked, 1);
}

#[tokio::test]
async fn a_blocking_handler_waits_for_a_thread_no_longer_than_its_deadline() {
    let (started, mut has_started) = tokio::sync::mpsc::channel::<()>(1);
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let registry = registry(Service::new().request(
        "compute",
        blocking(move || {
            let _ = started.try_send(());
            let _ = released.lock().recv();
            std::future::ready("computed")
        }),
    ));
    let config = Config { blocking: 1, ..Config::default() };
    let runtime = Runtime::new(config, Handle::current());
    let entry = registry.lookup("test.compute").unwrap();
    let (answered, answer) = oneshot::channel();
    let first = async {
        let _ = answered.send(
            execute(entry.clone(), context(Kind::Request, "compute", b""), &runtime, Instant::now()).await.result,
        );
    };
    let second = async {
        has_started.recv().await.unwrap();
        let mut late = context(Kind::Request, "compute", b"");
        late.deadline = Instant::now() + Duration::from_millis(20);
        let result = execute(entry.clone(), late, &runtime, Instant::now()).await.result;
        release.send(()).unwrap();
        result
    };
    let ((), second) = tokio::join!(first, second);
    assert_eq!(failed(second).0, codes::DEADLINE);
    assert_eq!(answer.await.unwrap().as_deref(), Ok(&b"computed"[..]));
    let counts = registry.counts();
    assert_eq!((counts.handled, counts.expired), (1, 1));
}

#[tokio::test]
async fn a_blocking_handler_that_waits_is_dropped_after_its_grace() {
    let registry = registry(Service::new().request("stuck", blocking(async || pending::<()>().await)));
    let config = Config { grace: Duration::from_millis(5), ..Config::default() };
    let runtime = Runtime::new(config, Handle::current());
    let mut context = context(Kind::Request, "stuck", b"");
    context.deadline = Instant::now() + Duration::from_millis(5);
    let entry = registry.lookup("test.stuck").unwrap().clone();
    assert_eq!(failed(execute(entry, context, &runtime, Instant::now()).await.result).0, codes::DEADLINE);
    assert_eq!(registry.counts().dropped, 1);
}
