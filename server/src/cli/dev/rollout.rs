//! What is to be done next for one server type: pure, so that every case can be looked at.

/// What matters of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// It runs what the manifest says now.
    pub(super) current: bool,
    pub(super) ready: bool,
    /// It was asked to leave.
    pub(super) leaving: bool,
}

/// In which order a server is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// A new one becomes ready, then an old one leaves.
    NewFirst,
    /// The old one leaves, then a new one takes its ports.
    OldFirst,
}

/// What to do. One step at a time: then look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Start a server.
    Start,
    /// Ask one of the servers with an old manifest to leave.
    RetireOld,
    /// Ask one of the servers to leave: there are too many.
    RetireAny,
    /// Wait for something to happen, or all is as it should be.
    Wait,
}

/// The next step towards `wanted` servers of the current manifest. There are never fewer than that because of a
/// replacement, except where the old one has to go first.
pub(super) fn next(wanted: usize, order: Order, servers: &[Seen]) -> Step {
    let count = |is: &dyn Fn(&Seen) -> bool| servers.iter().filter(|server| is(server)).count();
    let staying = count(&|server| !server.leaving);
    let old = count(&|server| !server.leaving && !server.current);
    if old == 0 {
        // Who leaves with an old manifest still has the ports of its successor.
        let replaced = count(&|server| server.leaving && !server.current);
        let occupied = if order == Order::OldFirst { staying + replaced } else { staying };
        return match staying.cmp(&wanted) {
            std::cmp::Ordering::Greater => Step::RetireAny,
            std::cmp::Ordering::Less if occupied < wanted => Step::Start,
            _ => Step::Wait,
        };
    }
    match order {
        Order::NewFirst => {
            let ready = count(&|server| !server.leaving && server.ready);
            let useless = count(&|server| !server.leaving && !server.current && !server.ready);
            if ready > wanted || (staying > wanted && useless > 0) {
                Step::RetireOld
            } else if staying <= wanted {
                Step::Start
            } else {
                Step::Wait
            }
        }
        Order::OldFirst => {
            let replaced = count(&|server| server.leaving && !server.current);
            let unready = count(&|server| !server.leaving && server.current && !server.ready);
            if staying > wanted {
                Step::RetireOld
            } else if staying + replaced < wanted {
                Step::Start
            } else if replaced == 0 && unready == 0 {
                Step::RetireOld
            } else {
                Step::Wait
            }
        }
    }
}
