//! Only servers that can talk, and that are who they should be, get a link.

use std::time::Duration;

use super::support::{Network, Node, Seen, identity, server};
use crate::rpc::{Config, Standing, bind, metrics::Loss};

/// Calls `back` under the id `promised` and expects that nothing is executed there, for this reason.
async fn check(promised: &str, theirs: &str, expected: Loss) {
    let network = Network::default();
    let back = Node::start_with(&network, identity("back", theirs), 1, &Config::default());
    let front = Node::start(&network, "front", 2);
    let link = front.links.open(&server(promised, 1));
    assert_eq!(link.standing(), Standing::Connecting);
    front.call(&link, "echo", "", 1);
    front.stub.until_ended(1).await;
    assert_eq!(front.stub.ends(), [(1, "not executed echo".into())]);
    assert!(!front.stub.seen().contains(&Seen::Up(promised.into())));
    assert!(!back.stub.seen().iter().any(|seen| matches!(seen, Seen::Request(_))));
    assert!(front.call(&link, "echo", "", 2).is_none(), "the link is down");
    let counted = [&front, &back].iter().any(|node| node.links.counts().losses().any(|loss| loss == (expected, 1)));
    assert!(counted, "{expected:?} is counted");
}

#[tokio::test(start_paused = true)]
async fn another_server_than_the_promised_one_gets_no_request() {
    check("other", "json", Loss::WrongServer).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_with_another_serializer_gets_no_request() {
    check("back", "protobuf", Loss::Serializer).await;
}

#[test]
fn a_peer_without_a_common_version_is_refused() {
    let ours = identity("front", "json");
    let hello = |protocol_min, protocol_max| crate::rpc::proto::Hello {
        protocol_min,
        protocol_max,
        ..crate::rpc::hello::greeting(&identity("back", "json"), false)
    };
    let reason = |hello| crate::rpc::hello::check(&hello, &ours, Some("back")).err().map(|error| Loss::from(&error));
    assert_eq!(reason(hello(1, 1)), None);
    assert_eq!(reason(hello(1, 9)), None);
    assert_eq!(reason(hello(3, 9)), Some(Loss::Protocol));
    assert_eq!(reason(hello(0, 0)), Some(Loss::Protocol));
}

#[tokio::test(start_paused = true)]
async fn a_peer_of_the_release_before_is_known_to_lack_channels() {
    let network = Network::default();
    let (_front, back, link) = super::support::pair(&network).await;
    assert!(!link.lacks_channels() && !back.stub.accepted().lacks_channels());
    let hello = |protocol_max| crate::rpc::proto::Hello {
        protocol_max,
        ..crate::rpc::hello::greeting(&identity("back", "json"), false)
    };
    for (protocol_max, lacks) in [(1, true), (2, false), (9, false)] {
        link.open((*identity("back", "json")).clone(), crate::rpc::hello::version(&hello(protocol_max)));
        assert_eq!(link.lacks_channels(), lacks, "version {protocol_max}");
    }
    // While it is being connected nobody knows.
    assert!(!back.links.open(&server("other", 9)).lacks_channels());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_tried_again_with_growing_pauses() {
    let network = Network::default();
    let front = Node::start(&network, "front", 2);
    let link = front.links.open(&server("back", 1));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(link.standing(), Standing::Down);
    // 50 ms doubling to 5 s, each between a half and the whole.
    assert!((17..=36).contains(&network.attempts()), "{} attempts", network.attempts());
    let back = Node::start(&network, "back", 1);
    front.stub.until_seen(Seen::Up("back".into())).await;
    back.stub.until_seen(Seen::Up("front".into())).await;
    assert_eq!(link.standing(), Standing::Live);
}

#[test]
fn links_stay_on_this_machine_unless_told_otherwise() {
    let config = |listen: &str, insecure| Config { listen: listen.parse().unwrap(), insecure, ..Config::default() };
    let error = bind(&config("0.0.0.0:0", false)).unwrap_err().to_string();
    assert!(error.contains("0.0.0.0:0") && error.contains("insecure: true"), "{error}");
    for (listen, insecure) in [("127.0.0.1:0", false), ("127.9.8.7:0", false), ("0.0.0.0:0", true)] {
        bind(&config(listen, insecure)).unwrap();
    }
}

#[test]
fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let error = bind(&Config { listen, ..Config::default() }).unwrap_err().to_string();
    assert!(error.contains(&listen.to_string()), "{error}");
}
