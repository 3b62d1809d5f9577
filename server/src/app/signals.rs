//! When a server is asked to stop, by a signal or by whoever started it.

use std::io::{self, Read as _};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// How far stopping has been asked to go. It only ever goes up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StopStage {
    /// Not at all.
    #[default]
    Serve,
    /// Let sessions end: the first SIGTERM or SIGINT, or `/drain`.
    Drain,
    /// Close what is left: a second signal, or the end of standard input.
    Close,
}

/// Raises the stage; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopRequests {
    stage: watch::Sender<StopStage>,
}

impl StopRequests {
    /// Follow the stage.
    pub(crate) fn subscribe(&self) -> watch::Receiver<StopStage> {
        self.stage.subscribe()
    }

    /// Ask for at least this stage.
    pub(crate) fn at_least(&self, stage: StopStage) {
        self.stage.send_if_modified(|current| {
            let raised = stage > *current;
            *current = stage.max(*current);
            raised
        });
    }

    /// One more signal.
    fn next(&self) {
        let stage = *self.stage.borrow();
        self.at_least(if stage == StopStage::Serve { StopStage::Drain } else { StopStage::Close });
    }

    /// Turn SIGTERM and SIGINT into stages, for ever. Needs a runtime that stays; the handlers are set when this is
    /// called, not when the future first runs.
    pub(crate) fn follow_signals(&self) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let requests = self.clone();
        Ok(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                requests.next();
                tracing::info!(signal = name, stage = ?*requests.stage.borrow(), "asked to stop");
            }
        })
    }

    /// Close when standard input ends: when whoever holds the other end of that pipe is gone, however it went.
    pub(crate) fn follow_stdin(&self) -> io::Result<()> {
        let requests = self.clone();
        // A thread, because reading standard input cannot be cancelled; the process does not wait for it.
        let read = move || {
            let mut buffer = [0; 256];
            let mut stdin = io::stdin().lock();
            loop {
                match stdin.read(&mut buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                    Ok(_) => {}
                }
            }
            requests.at_least(StopStage::Close);
            tracing::info!("standard input has ended, closing");
        };
        std::thread::Builder::new().name("cereus-stdin".to_owned()).spawn(read).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::{StopRequests, StopStage};

    #[test]
    fn the_second_request_closes_and_nothing_goes_back() {
        let requests = StopRequests::default();
        let mut stages = requests.subscribe();
        assert_eq!(*stages.borrow_and_update(), StopStage::Serve);
        requests.at_least(StopStage::Drain);
        assert_eq!(*stages.borrow_and_update(), StopStage::Drain);
        requests.at_least(StopStage::Drain);
        assert!(!stages.has_changed().unwrap());
        requests.next();
        assert_eq!(*stages.borrow_and_update(), StopStage::Close);
        requests.at_least(StopStage::Drain);
        requests.next();
        assert_eq!(*stages.borrow(), StopStage::Close);
    }

    #[tokio::test]
    async fn a_signal_drains_and_a_second_one_closes() {
        let requests = StopRequests::default();
        let mut stages = requests.subscribe();
        let own = rustix::process::getpid();
        let signals = async {
            for stage in [StopStage::Drain, StopStage::Close] {
                rustix::process::kill_process(own, rustix::process::Signal::TERM).unwrap();
                stages.wait_for(|current| *current == stage).await.unwrap();
            }
        };
        tokio::select! {
            () = requests.follow_signals().unwrap() => {}
            () = signals => {}
        }
    }
}
