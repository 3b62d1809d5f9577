use super::function::Handler;

/// How a handler is run, apart from the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Marks {
    /// The handler starts in its turn and does not hold up the messages behind it.
    pub concurrent: bool,
    /// The handler runs on the pool for work that computes or blocks.
    pub blocking: bool,
    /// The handler runs to its end, also long after its deadline.
    pub detached: bool,
}

/// A handler with marks; made by [`concurrent`], [`blocking`] and [`detached`], which may be combined.
#[derive(Debug, Clone)]
pub struct Marked<H> {
    handler: H,
    marks: Marks,
}

/// The handler starts in its turn, and the session's next message does not wait until it ends.
///
/// ```
/// use cereus::{Service, concurrent, detached};
///
/// async fn save() { /* a slow store that must not be interrupted */ }
///
/// let room = Service::new().request("save", concurrent(detached(save)));
/// ```
pub fn concurrent<H>(handler: H) -> Marked<H> {
    Marked { handler, marks: Marks { concurrent: true, ..Marks::default() } }
}

/// The handler computes for long or blocks its thread: it runs on a bounded pool of threads, apart from the workers, and
/// waits there for its turn no longer than its deadline.
///
/// What never returns keeps its thread and its session's lane for ever; nothing can end it.
pub fn blocking<H>(handler: H) -> Marked<H> {
    Marked { handler, marks: Marks { blocking: true, ..Marks::default() } }
}

/// The handler is not dropped when its deadline has passed: it runs to its end, and the messages behind it wait for that.
pub fn detached<H>(handler: H) -> Marked<H> {
    Marked { handler, marks: Marks { detached: true, ..Marks::default() } }
}

impl<H: Handler<Arguments>, Arguments> Handler<Arguments> for Marked<H> {
    type Future = H::Future;

    fn begin(&self, arguments: Arguments) -> H::Future {
        self.handler.begin(arguments)
    }

    fn marks(&self) -> Marks {
        let inner = self.handler.marks();
        Marks {
            concurrent: self.marks.concurrent || inner.concurrent,
            blocking: self.marks.blocking || inner.blocking,
            detached: self.marks.detached || inner.detached,
        }
    }

    fn path(&self) -> &'static str {
        self.handler.path()
    }
}
