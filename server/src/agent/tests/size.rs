//! What an idle connection costs.

use std::{io, mem::size_of, sync::Arc};

use tokio::net::TcpStream;

use super::Bench;
use crate::agent::{Peer, StreamTransport, connection::Connection, member::Member, run, working::Working};

/// The task of a TCP connection: all of its future. The runtime adds 112 bytes and rounds up to a multiple of 128.
const TASK: usize = 400;

/// As large as what an acceptor gives.
type Seat = [usize; 3];

#[test]
fn a_task_is_small() {
    let bench = Bench::new();
    let open = async { Err::<(StreamTransport<TcpStream>, Peer), _>(io::Error::other("never")) };
    let task = run(Arc::clone(&bench.worker), open, Peer::default(), (), Seat::default());
    let size = size_of_val(&task);
    let parts = [
        ("working", size_of::<Working<StreamTransport<TcpStream>>>()),
        ("member", size_of::<Member>()),
        ("connection", size_of::<Connection>()),
        ("sleep", size_of::<tokio::time::Sleep>()),
        ("inbox", size_of::<crate::agent::inbox::Inbox>()),
        ("batch", size_of::<crate::agent::queue::Batch>()),
        ("clock", size_of::<crate::agent::clock::Clock>()),
        ("record", size_of::<crate::session::Record>()),
    ];
    assert!(size <= TASK, "the task takes {size} bytes, of which {parts:?}");
    // With its two counts it fits into the allocator's class of 192 bytes.
    assert!(size_of::<Connection>() <= 176, "a connection takes {} bytes", size_of::<Connection>());
}
