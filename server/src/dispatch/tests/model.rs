//! Random interleavings of messages, answers, refusals, lost links, deadlines and the end of the connection: no answer is
//! lost or given twice, no order is broken, and nothing is left open.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::{prop_oneof, proptest};

use super::*;

#[derive(Debug, Clone)]
enum Step {
    /// A message; whether it is a request, and to what.
    Message(bool, &'static str),
    /// The handler that waits here longest ends.
    Go,
    /// A server of the other type answers its oldest message, or refuses it.
    Answer(usize),
    Refuse(usize),
    /// It says that it is going away.
    Drain(usize),
    /// All links are lost, and come back.
    Cut,
    /// Milliseconds pass.
    Pass(u64),
    /// Nothing moves before the next step.
    Quiet,
    /// The client is gone.
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let routes = prop_oneof![
        4 => Just("room.test.note"),
        1 => Just("front.test.wait"),
        1 => Just("front.test.concurrent"),
        1 => Just("front.test.note"),
        1 => Just("front.test.nothing"),
    ];
    let step = prop_oneof![
        24 => (any::<bool>(), routes).prop_map(|(request, route)| Step::Message(request, route)),
        6 => Just(Step::Go),
        12 => (0..2_usize).prop_map(Step::Answer),
        8 => (0..2_usize).prop_map(Step::Refuse),
        1 => (0..2_usize).prop_map(Step::Drain),
        1 => Just(Step::Cut),
        6 => (1..4_000_u64).prop_map(Step::Pass),
        12 => Just(Step::Quiet),
        1 => Just(Step::Close),
    ];
    vec(step, 1..60)
}

/// What has happened, as far as it matters for what may happen.
#[derive(Default)]
struct Model {
    sent: u64,
    requests: Vec<u64>,
    /// Messages that the other servers handled, or may have.
    handled: Vec<u64>,
    closed: bool,
    cut: bool,
}

impl Model {
    async fn apply(&mut self, desk: &Desk, step: Step) {
        let (was_full, wakes) = (desk.dialogue.is_full(), desk.wakes());
        match step {
            Step::Message(is_request, route) => {
                // As the agent does: it reads no more than there is room for, and nothing after the end.
                if was_full || self.closed {
                    return;
                }
                self.sent += 1;
                if is_request {
                    self.requests.push(self.sent);
                }
                let kind = if is_request { MessageKind::Request } else { MessageKind::Notify };
                desk.send(kind, self.sent, route);
            }
            Step::Go => desk.journal.go(),
            Step::Answer(far) => {
                if let Some(number) = desk.fars[far].taken().first() {
                    self.handled.push(number.parse().unwrap());
                    desk.fars[far].answer();
                }
            }
            Step::Refuse(far) => drop(desk.fars[far].refuse()),
            Step::Drain(far) => desk.fars[far].drain(),
            Step::Cut => {
                self.cut = true;
                // What is on its way arrives or not; what has arrived was handled.
                quiet().await;
                let taken = desk.fars.iter().flat_map(Far::forget);
                self.handled.extend(taken.map(|number| number.parse::<u64>().unwrap()));
                desk.network.cut();
                quiet().await;
            }
            Step::Pass(milliseconds) => tokio::time::sleep(Duration::from_millis(milliseconds)).await,
            Step::Quiet => quiet().await,
            Step::Close => {
                desk.dialogue.close(CloseReason::ClientClosed);
                self.closed = true;
            }
        }
        // A connection that is gone has no timer.
        if !self.closed {
            desk.expire();
        }
        assert!(desk.dialogue.open_messages() <= BOUND);
        if was_full && !desk.dialogue.is_full() {
            assert!(desk.wakes() > wakes, "reading would never go on");
        }
    }

    async fn check(&self, desk: &Desk) {
        let mut given: BTreeMap<u64, usize> = BTreeMap::new();
        for answer in desk.answers().await {
            *given.entry(answer.split(' ').next().unwrap().parse().unwrap()).or_default() += 1;
        }
        let twice: Vec<_> = given.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "answered more than once: {twice:?}");
        assert!(given.keys().eq(&self.requests), "asked {:?}, answered {given:?}", self.requests);
        assert!(self.handled.is_sorted_by(|one, next| one < next), "handled in this order: {:?}", self.handled);
        assert_eq!(desk.dialogue.open_messages(), 0);
        for far in &desk.fars {
            assert_eq!(far.late(), 0);
            // A lost link takes the news with it.
            assert!(
                far.closed().len() <= 1 && (self.cut || !self.closed || !far.answered() || far.closed().len() == 1)
            );
        }
    }
}

async fn run(steps: Vec<Step>) {
    let (desk, mut model) = (Desk::start().await, Model::default());
    for step in steps {
        model.apply(&desk, step).await;
    }
    // Everybody ends what was begun, and the last deadline passes.
    for _ in 0..2 * BOUND {
        for far in 0..2 {
            model.apply(&desk, Step::Answer(far)).await;
        }
        model.apply(&desk, Step::Go).await;
        model.apply(&desk, Step::Quiet).await;
    }
    model.apply(&desk, Step::Pass(20_000)).await;
    model.check(&desk).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_message_has_one_end(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(steps));
    }
}
