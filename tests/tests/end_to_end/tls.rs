//! Clients that come encrypted, and through a load balancer.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cereus_tests::{
    certificates::{Authority, mount},
    client::{Client, Options, Transport},
    process::{Process, Program, binary, eventually, free_address},
    tunnel::Tunnel,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{NOTICE, TRANSPORTS, assert_serves};

/// The acceptors as the operator gives them to a pod.
fn listen(transport: Transport, address: SocketAddr, folder: &Path, proxy_protocol: bool) -> String {
    let protocol = if transport == Transport::Tcp { "TCP" } else { "WebSocket" };
    let tls = json!({ "certificate": folder.join("tls.crt"), "key": folder.join("tls.key") });
    let acceptor = json!({
        "name": "clients", "protocol": protocol, "address": address, "tls": tls, "proxy_protocol": proxy_protocol,
    });
    Value::from(vec![acceptor]).to_string()
}

fn program(listen: String) -> Program {
    Program {
        name: "connector".to_owned(),
        path: binary("conformance").unwrap(),
        arguments: ["--type", "connector"].map(Into::into).into(),
        environment: vec![("CEREUS__ACCEPTOR__LISTEN".into(), listen.into())],
    }
}

fn issue(folder: &Path, authority: &Authority) {
    let (certificate, key) = authority.issue("localhost").unwrap();
    mount(folder, &[("tls.crt", &certificate), ("tls.key", &key)]).unwrap();
}

#[tokio::test]
async fn clients_come_through_tls_before_and_after_the_certificate_is_renewed() {
    let (old, new) = (Authority::new().unwrap(), Authority::new().unwrap());
    for transport in TRANSPORTS {
        for header in ["", "PROXY TCP4 203.0.113.7 10.0.0.1 51234 3250\r\n"] {
            let folder = TempDir::new().unwrap();
            issue(folder.path(), &old);
            let address = free_address().unwrap();
            let listen = listen(transport, address, folder.path(), !header.is_empty());
            let process = Process::start_ready(&program(listen)).await.unwrap();
            let before = Tunnel::start(address, "localhost", &old, header).await.unwrap();
            let first = Client::connect(before.address(), transport).await.unwrap();
            assert_serves(&first).await;

            // A bad one changes nothing, and is told once.
            let told = || process.said().matches("certificates are not taken, the ones before stay").count();
            for _ in 0..2 {
                mount(folder.path(), &[("tls.crt", "nothing"), ("tls.key", "nothing")]).unwrap();
                eventually("warning", NOTICE, || async { Ok((told() > 0).then_some(())) }).await.unwrap();
            }
            assert_serves(&Client::connect(before.address(), transport).await.unwrap()).await;

            issue(folder.path(), &new);
            let after = Tunnel::start(address, "localhost", &new, header).await.unwrap();
            let again = || async { Ok(Some(Client::connect(after.address(), transport).await?)) };
            let second = eventually("connection with the new certificate", NOTICE, again).await.unwrap();
            assert_serves(&second).await;
            assert_serves(&first).await;
            assert_eq!(told(), 1);
            let said = process.said();
            assert!(said.contains(&format!("{}/tls.crt", folder.path().display())), "{said}");
            // Who speaks no TLS is not understood.
            let options = Options::default();
            let plain = Client::connect_with(address, transport, &options).await;
            assert!(plain.is_err(), "{plain:?}");
            drop(process);
        }
    }
}

/// Start with wrong certificates; it has to end by itself.
fn refused(arguments: &[String], listen: Option<String>) -> Output {
    let mut command = Command::new(binary("conformance").unwrap());
    command.args(["--type", "connector"]).args(arguments);
    if let Some(listen) = listen {
        command.env("CEREUS__ACCEPTOR__LISTEN", listen);
    }
    command.output().unwrap()
}

#[test]
fn a_certificate_that_is_wrong_stops_the_start_with_its_file_and_what_would_be_right() {
    let authority = Authority::new().unwrap();
    let folder = TempDir::new().unwrap();
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let address = free_address().unwrap();
    let check = |output: Output, parts: &[&str]| {
        let said = String::from_utf8(output.stderr).unwrap();
        let last = said.lines().last().unwrap_or_default();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in parts {
            assert!(last.contains(&part.replace("FOLDER", &folder.path().display().to_string())), "{part:?}: {said}");
        }
    };
    let told = || Some(listen(Transport::Tcp, address, folder.path(), false));
    check(refused(&[], told()), &["acceptor \"clients\"", "FOLDER/tls.crt", "it cannot be read"]);
    let (certificate, _) = authority.issue("localhost").unwrap();
    mount(folder.path(), &[("tls.crt", &certificate), ("tls.key", "nothing")]).unwrap();
    check(refused(&[], told()), &["FOLDER/tls.key", "holds no private key", "-----BEGIN PRIVATE KEY-----"]);

    authority.fill(&path("links"), "cereus://game/hall", &[&authority]).unwrap();
    let set = ["--set".to_owned(), format!("link.certificates={}", path("links").display())];
    check(
        refused(&set, None),
        &["links", "FOLDER/links/tls.crt", "it is for cereus://game/hall, expected is cereus://NAMESPACE/connector"],
    );
}
