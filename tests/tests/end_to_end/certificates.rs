//! Links between servers that prove who they are.

use std::path::Path;

use cereus_tests::{
    certificates::Authority,
    client::Transport,
    cluster::{Cluster, Role},
    conformance::trial,
    pitaya::{Call, PitayaClient, Session},
    process::{START_TIMEOUT, eventually},
};
use tempfile::TempDir;

use crate::{NOTICE, TYPES, load, reachable};

/// A folder for each type, with its certificate.
fn fill(folder: &Path, namespace: &str, by: &Authority, believe: &[&Authority]) {
    for server_type in TYPES {
        by.fill(&folder.join(server_type), &format!("cereus://{namespace}/{server_type}"), believe).unwrap();
    }
}

async fn start(folder: &Path, games: usize) -> Cluster {
    let cluster = Cluster::builder().frontend("connector").backends("game", games);
    cluster.certificates(folder).start().await.unwrap()
}

/// Wait until the frontend has counted a loss of this kind.
async fn counted(cluster: &Cluster, loss: &str) {
    let name = format!("links_lost_{loss}");
    let look = || async {
        let status = cluster.status("connector-1").await?;
        Ok((status["counters"][&name].as_u64().unwrap_or_default() > 0).then_some(()))
    };
    eventually(&name, NOTICE, look).await.unwrap();
}

#[tokio::test]
async fn only_servers_of_the_cluster_are_linked() {
    let (folders, authority) = (TempDir::new().unwrap(), Authority::new().unwrap());
    let folder = |name: &str| folders.path().join(name);
    fill(&folder("own"), "game", &authority, &[&authority]);
    let mut cluster = start(&folder("own"), 1).await;
    let client = cluster.client(Transport::Tcp).await.unwrap();
    let server = reachable(&client, "game").await;

    let strange = Authority::new().unwrap();
    fill(&folder("strange"), "game", &strange, &[&strange, &authority]);
    fill(&folder("elsewhere"), "other", &authority, &[&authority]);
    // The first has no certificate at all: what it answers to a handshake is none.
    for (certificates, loss) in
        [(Some(folder("strange")), "bad_certificate"), (Some(folder("elsewhere")), "wrong_name"), (None, "connection")]
    {
        cluster.set_certificates(certificates.as_deref());
        cluster.add(Role::Backend, "game").await.unwrap();
        if loss != "connection" {
            counted(&cluster, loss).await;
        }
        // The others carry on, and none of the requests went there.
        for _ in 0..20 {
            let answer = client.request(&trial::route("game", trial::SERVER), "").await.unwrap();
            assert_eq!(answer.text().unwrap(), server, "{loss}");
        }
    }
    let status = cluster.status("connector-1").await.unwrap();
    let links = status["links"].as_array().unwrap();
    let mut live = links.iter().filter(|link| link["standing"] == "live").map(|link| &link["server"]).peekable();
    assert!(live.peek().is_some() && live.all(|linked| linked == id_in(&server)), "{links:?}");

    // Calls of single messages come on the same port, and the same holds for them.
    let call = async {
        let caller = PitayaClient::find(cluster.directory(), id_in(&server)).await?;
        anyhow::Ok(
            caller.call(Call::sys(Session { id: 7, ..Session::default() }, "front-1", "game.bench.echo", "x")).await?,
        )
    };
    assert!(call.await.is_err());
}

/// The id in what a server says of itself: its name and id.
fn id_in(server: &str) -> &str {
    server.split_whitespace().last().unwrap_or_default()
}

#[tokio::test]
async fn certificates_and_their_authority_are_replaced_under_load() {
    let (folder, old, new) = (TempDir::new().unwrap(), Authority::new().unwrap(), Authority::new().unwrap());
    fill(folder.path(), "game", &old, &[&old]);
    let mut cluster = start(folder.path(), 2).await;
    let load = load(&cluster, 10, &trial::route("game", trial::SLEEP), "2 x").await;
    load.answers(200).await.unwrap();
    let mut names = vec!["connector-1".to_owned(), "game-1".to_owned(), "game-2".to_owned()];
    // Believe both, show the new, believe only the new.
    let steps: [(&Authority, &[&Authority]); 3] = [(&old, &[&old, &new]), (&new, &[&old, &new]), (&new, &[&new])];
    for (by, believe) in steps {
        let seen: Vec<_> = names.iter().map(|name| taken(&cluster, name)).collect();
        fill(folder.path(), "game", by, believe);
        for (name, seen) in names.iter().zip(seen) {
            let again = || async { Ok((taken(&cluster, name) > seen).then_some(())) };
            eventually("new certificates", NOTICE, again).await.unwrap();
        }
        // Its links are made with what holds now.
        names.push(cluster.add(Role::Backend, "game").await.unwrap());
        load.answers(200).await.unwrap();
    }
    cluster.process("game-1").unwrap().terminate(START_TIMEOUT).await.unwrap();
    load.answers(200).await.unwrap();
    let outcome = load.stop().await.unwrap();
    assert!(outcome.errors.is_empty(), "{outcome:?}");
    let status = cluster.status("connector-1").await.unwrap();
    let live = status["links"].as_array().unwrap().iter().filter(|link| link["standing"] == "live").count();
    assert!(live >= 4, "{status}");
}

/// How often a server has taken new certificates.
fn taken(cluster: &Cluster, name: &str) -> usize {
    cluster.server(name).unwrap().process().said().matches("certificates are taken anew").count()
}
