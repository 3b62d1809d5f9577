//! Links with certificates: who gets one, and who does not.

use std::{fs, path::Path, sync::Arc, time::Duration};

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::support::{Network, Node, Seen, identity};
use crate::{
    rpc::{
        Certificates, Config, Families, Identity, Links, Standing, bench_support::Deaf, bind, metrics::Loss, pitaya,
        proto::pitaya as protos, serve,
    },
    tls::testing::{Authority, mount},
    topology::{Server, Snapshot},
};

const ROOM: &str = "cereus://game/room";

/// A folder as the operator fills it: with a certificate for `name` that `by` signed, and authorities to believe.
fn fill(folder: &Path, by: &Authority, names: &[&str], believed: &[&Authority]) {
    let pair = by.issue(names);
    let believed: String = believed.iter().map(|authority| authority.pem()).collect();
    mount(folder, &[("tls.crt", &pair.certificate), ("tls.key", &pair.key), ("ca.crt", &believed)]);
}

fn certificates(by: &Authority, name: &str, believed: &Authority) -> (TempDir, Arc<Certificates>) {
    let folder = TempDir::new().unwrap();
    fill(folder.path(), by, &[name], &[believed]);
    let own_type = name.rsplit('/').next().unwrap();
    let certificates = Certificates::load(folder.path(), None, own_type).unwrap();
    (folder, Arc::new(certificates))
}

/// A server of the type `room`, whatever its certificate says.
fn node(network: &Network, name: &str, port: u16, certificates: Option<Arc<Certificates>>) -> Node {
    Node::start_secured(network, identity(name, "json"), port, &Config::default(), certificates)
}

#[tokio::test]
async fn servers_of_one_cluster_talk() {
    let authority = Authority::new();
    let (_files, certificates) = certificates(&authority, ROOM, &authority);
    let network = Network::default();
    let back = node(&network, "back", 1, Some(certificates.clone()));
    let front = node(&network, "front", 2, Some(certificates));
    let link = front.links.open(&back.server);
    assert!(front.call(&link, "echo", vec![7; 1 << 20], 1).is_some());
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(1, "1048576 bytes".into())]);
    back.stub.until_seen(Seen::Up("front".into())).await;
}

/// Two servers, of which one must not be believed: nothing is executed, and one of the two counts why.
async fn check(front: Option<Arc<Certificates>>, back: Option<Arc<Certificates>>, expected: Loss) {
    let network = Network::default();
    let back = node(&network, "back", 1, back);
    let front = node(&network, "front", 2, front);
    let link = front.links.open(&back.server);
    front.call(&link, "echo", "", 1);
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(1, "not executed echo".into())], "{expected:?}");
    assert_ne!(link.standing(), Standing::Live, "{expected:?}");
    let counted = async {
        let count = |node: &Node| node.links.counts().losses().any(|loss| loss.0 == expected && loss.1 > 0);
        while !count(&front) && !count(&back) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted).await.unwrap_or_else(|_| {
        let losses = [&front, &back].map(|node| node.links.counts().losses().collect::<Vec<_>>());
        panic!("{expected:?} is not counted: {losses:?}")
    });
    assert!(!back.stub.seen().iter().any(|seen| matches!(seen, Seen::Up(_) | Seen::Request(_))), "{expected:?}");
    assert!(!front.stub.seen().contains(&Seen::Up("back".into())), "{expected:?}");
}

#[tokio::test]
async fn who_is_not_of_the_cluster_gets_no_link() {
    let (authority, strange) = (Authority::new(), Authority::new());
    let (_own, own) = certificates(&authority, ROOM, &authority);
    for (name, by, reason) in [
        (ROOM, &strange, Loss::BadCertificate),
        ("cereus://other/room", &authority, Loss::WrongName),
        // Both introduce themselves as rooms.
        ("cereus://game/hall", &authority, Loss::WrongName),
    ] {
        let (_files, theirs) = certificates(by, name, &authority);
        check(Some(theirs.clone()), Some(own.clone()), reason).await;
        check(Some(own.clone()), Some(theirs), reason).await;
    }
    check(None, Some(own.clone()), Loss::NoCertificate).await;
    // The one without cannot even answer: that is no handshake.
    let network = Network::default();
    let back = node(&network, "back", 1, None);
    let front = node(&network, "front", 2, Some(own));
    let link = front.links.open(&back.server);
    front.call(&link, "echo", "", 1);
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(1, "not executed echo".into())]);
    assert!(back.stub.seen().is_empty());
}

#[tokio::test]
async fn a_caller_is_what_its_certificate_says_and_not_what_it_says_itself() {
    let authority = Authority::new();
    let (_own, own) = certificates(&authority, ROOM, &authority);
    let (_hall, hall) = certificates(&authority, "cereus://game/hall", &authority);
    let network = Network::default();
    let back = node(&network, "back", 1, Some(own));
    // The certificate of a hall, and the words of one: it is let in.
    let honest = Arc::new(Identity { server_type: "hall".into(), ..(*identity("hall", "json")).clone() });
    let front = Node::start_secured(&network, honest, 2, &Config::default(), Some(hall));
    front.links.open(&back.server);
    back.stub.until_seen(Seen::Up("hall".into())).await;
    assert_eq!(&*back.stub.accepted().peer().unwrap().server_type, "hall");
}

#[tokio::test]
async fn one_authority_follows_another_and_links_that_stand_stay() {
    let (old, new) = (Authority::new(), Authority::new());
    let (folder, certificates) = certificates(&old, ROOM, &old);
    let network = Network::default();
    let back = node(&network, "back", 1, Some(certificates.clone()));
    let front = node(&network, "front", 2, Some(certificates));
    let link = front.links.open(&back.server);
    front.stub.until_seen(Seen::Up("back".into())).await;
    // Believe both, show the new, believe the new only.
    let steps: [(&Authority, &[&Authority]); 3] = [(&old, &[&old, &new]), (&new, &[&old, &new]), (&new, &[&new])];
    for (by, believed) in steps {
        fill(folder.path(), by, &[ROOM], believed);
    }
    // A server that knows the new one only is let in once that is believed.
    let (_later, later) = self::certificates(&new, ROOM, &new);
    let third = node(&network, "third", 3, Some(later));
    let other = third.links.open(&back.server);
    tokio::time::timeout(Duration::from_secs(20), third.stub.until_seen(Seen::Up("back".into()))).await.unwrap();
    assert_eq!(other.standing(), Standing::Live);
    assert!(front.call(&link, "echo", "hello", 1).is_some());
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(1, "5 bytes".into())]);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test ends what it starts")]
async fn unary_calls_need_certificates_as_well() {
    let authority = Authority::new();
    let (_files, certificates) = certificates(&authority, ROOM, &authority);
    let back = node(&Network::default(), "back", 1, Some(certificates.clone()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (deal, sockets) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let routes = pitaya::testing::echo_routes();
    let serving = tokio::spawn(serve(sockets, back.links.clone(), routes, stop.clone().cancelled_owned()));
    let dealing = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            deal.send(socket.into_std().unwrap()).await.unwrap();
        }
    });

    let call = async |certificates: Option<Arc<Certificates>>, server_type: &str| {
        let server = Server::new("back", server_type, address);
        let mut client = pitaya::Channels::new(certificates).client(&server, &Snapshot::default()).unwrap();
        let msg = protos::Msg { route: "room.echo".to_owned(), ..Default::default() };
        client.call(protos::Request { msg: Some(msg), ..Default::default() }).await
    };
    let answer = call(Some(certificates.clone()), "room").await.unwrap();
    assert_eq!(&*answer.into_inner().data, b"room.echo");
    call(Some(certificates.clone()), "hall").await.unwrap_err();
    call(None, "room").await.unwrap_err();

    // So do the links that are made of such calls.
    let front = node(&Network::default(), "front", 2, Some(certificates.clone()));
    let links = Links::with_certificates(identity("front", "json"), 0, &Config::default(), Some(certificates));
    links.attach(Families {
        requests: front.stub.clone(),
        sessions: front.stub.clone(),
        links: front.stub.clone(),
        channels: Arc::new(Deaf),
    });
    let link = links.open_unary(&Server::new("back", "room", address));
    assert!(front.call(&link, "room.echo", "", 1).is_some());
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(1, "9 bytes".into())]);
    links.close();
    links.closed().await;
    dealing.abort();
    stop.cancel();
    serving.await.unwrap();
}

#[test]
fn with_certificates_links_may_leave_the_machine() {
    let config = Config { listen: "0.0.0.0:0".parse().unwrap(), certificates: Some("/x".into()), ..Config::default() };
    bind(&config).unwrap();
}

#[tokio::test]
async fn a_certificate_of_somebody_else_stops_the_start() {
    let authority = Authority::new();
    let folder = TempDir::new().unwrap();
    let load = |namespace| Certificates::load(folder.path(), namespace, "room").map(drop);
    let said = |namespace| {
        let error = load(namespace).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        format!("{error}: {cause}").replace(&format!("{}/", folder.path().display()), "")
    };
    assert!(said(None).starts_with("ca.crt cannot be used as the certificates of an authority: it cannot be read: No"));
    let expected = |found: &str, expected: &str| {
        format!(
            "tls.crt cannot be used as a certificate: it is for {found}, expected is {expected} as a URI among the \
             alternative names"
        )
    };
    for (names, found) in [
        (&["cereus://game/hall"][..], "cereus://game/hall"),
        (&["localhost"], "nobody"),
        (&["cereus://game/room/1"], "cereus://game/room/1"),
        (&["cereus://game/room", "cereus://game/hall"], "cereus://game/room and cereus://game/hall"),
    ] {
        fill(folder.path(), &authority, names, &[&authority]);
        assert_eq!(said(None), expected(found, "cereus://NAMESPACE/room"));
    }
    fill(folder.path(), &authority, &[ROOM, "localhost"], &[&authority]);
    load(None).unwrap();
    load(Some("game")).unwrap();
    assert_eq!(said(Some("other")), expected(ROOM, "cereus://other/room"));
    fs::remove_file(folder.path().join("ca.crt")).unwrap();
    fs::write(folder.path().join("ca.crt"), "").unwrap();
    assert!(said(None).contains("it holds no certificate: PEM text is expected"), "{}", said(None));
}
