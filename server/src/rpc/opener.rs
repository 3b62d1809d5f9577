//! The life of an opened link: connect, greet, read until the connection is lost, and again.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rand::Rng;
use tokio::time::{sleep, timeout};
use tonic::{
    Streaming,
    client::Grpc,
    transport::{Channel, Endpoint},
};

use super::{
    Error, Families, Link,
    codec::{LinkCodec, METHOD, Outgoing},
    config::{CONNECT_TIMEOUT, CONNECTION_WINDOW, MAX_BATCH, PING_INTERVAL, PING_TIMEOUT, STREAM_WINDOW},
    connector::{BoxedConnector, connected, dial},
    hello,
    metrics::Loss,
    pitaya, proto,
    reader::{deliver, peer_drains, read},
};

/// The first pause after a failed attempt, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps `link` connected with its server until it is stopped.
pub(super) async fn run(link: &Arc<Link>, connector: impl Fn() -> BoxedConnector, families: &Families) {
    let mut pause = FIRST_PAUSE;
    while !link.stopped().is_cancelled() {
        let mut up = false;
        let error = if link.is_unary() {
            pitaya::attempt(link, connector(), families, &mut up).await
        } else {
            attempt(link, connector(), families, &mut up).await
        };
        link.lose();
        if up {
            families.down(link);
            pause = FIRST_PAUSE;
        }
        if link.stopped().is_cancelled() {
            break;
        }
        report(link, &error, pause == FIRST_PAUSE);
        let jittered = pause.mul_f64(rand::rng().random_range(0.5..1.0));
        pause = (pause * 2).min(LONGEST_PAUSE);
        tokio::select! {
            biased;
            () = link.stopped().cancelled() => break,
            () = sleep(jittered) => {}
        }
    }
    link.lose();
}

/// Counts a loss, and logs it if it is news.
fn report(link: &Link, error: &Error, news: bool) {
    let loss = Loss::from(error);
    link.common().counts.lost(loss);
    let (server, address, reason) = (link.server(), link.address(), loss.as_str());
    let error = error as &dyn std::error::Error;
    if news {
        tracing::warn!(%server, ?address, reason, error, "link lost");
    } else {
        tracing::debug!(%server, ?address, reason, error, "link still lost");
    }
}

/// One connection; returns why it ended.
async fn attempt(link: &Arc<Link>, connector: BoxedConnector, families: &Families, up: &mut bool) -> Error {
    let connected = tokio::select! {
        biased;
        () = link.stopped().cancelled() => return Error::Ended,
        connected = connect(link, connector) => connected,
    };
    let (mut stream, hello, rest) = match connected {
        Ok(connected) => connected,
        Err(error) => return error,
    };
    let certified = link.common().certificates.as_ref().map(|_| link.promised_type());
    let peer = hello::check_name(&hello, certified)
        .and_then(|()| hello::check(&hello, &link.common().identity, Some(link.server())));
    let peer = match peer {
        Ok(peer) => peer,
        Err(error) => return error,
    };
    if hello.draining {
        // It may close before it has answered a request that is sent now.
        link.drain();
        link.give_back();
    }
    link.open(peer, hello::version(&hello));
    *up = true;
    families.up(link);
    if hello.draining {
        peer_drains(link, families);
    }
    deliver(link, families, rest);
    read(link, &mut stream, families).await
}

/// A connection, the peer's greeting, and the frames that came with it.
type Greeted = (Streaming<proto::Batch>, proto::Hello, Vec<proto::Frame>);

/// Connects and waits for the peer's greeting.
async fn connect(link: &Arc<Link>, connector: BoxedConnector) -> Result<Greeted, Error> {
    let address = link.address().ok_or(Error::Ended)?;
    let channel = async {
        let io = dial(connector, address, link.common().certificates.as_deref(), link.promised_type()).await?;
        endpoint(address)?.connect_with_connector(connected(io)).await.map_err(Error::Connect)
    };
    let channel = timeout(CONNECT_TIMEOUT, channel).await.map_err(|_| Error::Timeout)??;
    timeout(CONNECT_TIMEOUT, greet(link, channel)).await.map_err(|_| Error::Timeout)?
}

fn endpoint(address: SocketAddr) -> Result<Endpoint, Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))
        .map_err(Error::Connect)?
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true))
}

async fn greet(link: &Arc<Link>, channel: Channel) -> Result<Greeted, Error> {
    let common = link.common();
    let draining = common.draining.load(std::sync::atomic::Ordering::Relaxed);
    let epoch = link.outbound().lock().begin(hello::greeting(&common.identity, draining));
    let mut client = Grpc::new(channel).max_decoding_message_size(MAX_BATCH).max_encoding_message_size(usize::MAX);
    client.ready().await.map_err(Error::Connect)?;
    let outgoing = Outgoing { link: link.clone(), epoch };
    let mut stream = client.streaming(tonic::Request::new(outgoing), METHOD, LinkCodec).await?.into_inner();
    let first = stream.message().await?.ok_or(Error::Ended)?;
    let (hello, rest) = hello::split(first)?;
    Ok((stream, hello, rest))
}
