use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use kube::{Client, client::Body};
use prometheus_client::registry::Registry;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::lead;
use crate::{
    controller::{Metrics, Settings, Shared, Writer},
    lease::Leadership,
    sessions::Survey,
};

/// Requests that wait for an answer, which never comes: as many as there are receivers.
fn client() -> (watch::Sender<()>, Client) {
    let waiting = watch::Sender::new(());
    let requests = waiting.clone();
    let service = tower::service_fn(move |_: Request<Body>| {
        let waits = requests.subscribe();
        requests.send_replace(());
        async move {
            let _waits = waits;
            std::future::pending::<Result<Response<Body>, tower::BoxError>>().await
        }
    });
    (waiting, Client::new(service, "cereus-system"))
}

#[tokio::test]
async fn what_was_remembered_in_one_term_is_forgotten_in_the_next() {
    let (requests, client) = client();
    let (leads, leadership) = Leadership::until(None);
    let metrics = Metrics::new(&mut Registry::default());
    let settings = Settings { operator_namespace: "cereus-system".to_owned(), admin_namespaces: Vec::new() };
    let writer = Writer::new(client.clone(), leadership.clone(), metrics.clone());
    let shared = Arc::new(Shared::new(settings, client, writer, Survey::new(1), metrics, 1));
    let stop = CancellationToken::new();
    let chosen = || shared.remember("game/room", |memory| memory.chosen.replace(5));
    let terms = async {
        let mut begun = requests.subscribe();
        let term = || leads.send_replace(Some(Instant::now() + Duration::from_hours(1)));
        term();
        begun.changed().await.unwrap();
        assert_eq!((chosen(), chosen()), (None, Some(5)));
        drop(begun);
        leads.send_replace(None);
        // Its watches are broken off.
        requests.closed().await;
        let mut begun = requests.subscribe();
        term();
        begun.changed().await.unwrap();
        assert_eq!(chosen(), None);
    };
    tokio::select! {
        () = lead(&shared, &[], leadership, &stop) => {}
        () = terms => {}
    }
}
