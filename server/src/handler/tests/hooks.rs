use super::*;

async fn refuse(_: &mut Context) -> Result<(), Error> {
    Err(Error::new("AUTH-1", "sign in first"))
}

async fn shout(context: &mut Context) -> Result<(), Error> {
    let body = context.body().to_ascii_uppercase();
    context.set_body(body);
    Ok(())
}

async fn echo(body: Bytes) -> Bytes {
    body
}

#[tokio::test]
async fn a_before_hook_replaces_the_argument() {
    let registry = registry(Service::new().request("echo", echo).before(shout));
    assert_eq!(request(&registry, "echo", b"woow").await.as_deref(), Ok(&b"WOOW"[..]));
}

#[tokio::test]
async fn a_before_hook_refuses_the_message() {
    let registry = registry(
        Service::new().request("echo", async |_: Bytes| -> Bytes { panic!("the handler must not run") }).before(refuse),
    );
    assert_eq!(failed(request(&registry, "echo", b"").await), ("AUTH-1".into(), "sign in first".into()));
}

#[tokio::test]
async fn a_hook_that_fails_without_a_code_is_an_internal_error() {
    let registry =
        registry(Service::new().request("echo", echo).before(async |_: &mut Context| Err::<(), _>("broken")));
    assert_eq!(failed(request(&registry, "echo", b"").await), ("PIT-500".into(), "broken".into()));
}

#[tokio::test]
async fn an_after_hook_replaces_value_and_error() {
    async fn swap(context: &Context, result: &mut Result<Bytes, Error>) {
        tokio::task::yield_now().await;
        *result = match result {
            Ok(body) => Err(Error::new("GAME-1", format!("{} gave {} bytes", context.method(), body.len()))),
            Err(error) => Ok(Bytes::from(error.code().to_owned())),
        };
    }
    let registry = registry(
        Service::new()
            .request("echo", echo)
            .request("fail", async || Err::<Bytes, _>(Error::new("PIT-555", "somerror")))
            .request("null", async || None::<Bytes>)
            .request("json", async |_: crate::handler::Json<bool>| "unreachable")
            .after(swap),
    );
    assert_eq!(failed(request(&registry, "echo", b"woow").await), ("GAME-1".into(), "echo gave 4 bytes".into()));
    for (method, code) in [("fail", "PIT-555"), ("null", "PIT-000"), ("json", "PIT-400")] {
        assert_eq!(request(&registry, method, b"").await.as_deref(), Ok(code.as_bytes()), "{method}");
    }
}

#[tokio::test]
async fn an_after_hook_sees_a_refused_message() {
    async fn soften(_: &Context, result: &mut Result<Bytes, Error>) {
        if result.is_err() {
            *result = Ok(Bytes::from_static(b"not now"));
        }
    }
    let registry = registry(Service::new().request("echo", echo).before(refuse).after(soften));
    assert_eq!(request(&registry, "echo", b"").await.as_deref(), Ok(&b"not now"[..]));
}

#[tokio::test]
async fn hooks_of_the_application_are_around_those_of_the_service() {
    fn push(body: &Bytes, letter: u8) -> Vec<u8> {
        let mut body = body.to_vec();
        body.push(letter);
        body
    }
    fn before(letter: u8) -> impl for<'a> crate::handler::BeforeHook<'a> + 'static {
        move |context: &mut Context| {
            let body = push(context.body(), letter);
            context.set_body(body);
            std::future::ready(Ok::<(), Error>(()))
        }
    }
    fn after(letter: u8) -> impl for<'a> crate::handler::AfterHook<'a> + 'static {
        move |_: &Context, result: &mut Result<Bytes, Error>| {
            *result = result.as_ref().map(|body| push(body, letter).into()).map_err(Error::clone);
            std::future::ready(())
        }
    }
    let service = Service::new().request("echo", echo).before(before(b'3')).before(before(b'4')).after(after(b'5'));
    let other = Service::new().remote("echo", echo);
    let mut builder = Registry::builder().service("test", service);
    builder.hooks().push_before(before(b'1'));
    builder.hooks().push_before(before(b'2'));
    builder.hooks().push_after(after(b'6'));
    let registry = builder.service("other", other).build().unwrap();
    assert_eq!(request(&registry, "echo", b"").await.as_deref(), Ok(&b"123456"[..]));
    let mut context = context(Kind::Remote, "echo", b"");
    context.route = Text::from("other.echo");
    assert_eq!(call(&registry, context).await.as_deref(), Ok(&b"126"[..]));
}

#[tokio::test]
async fn a_panic_in_a_hook_ends_with_the_request() {
    let registry = registry(
        Service::new().request("echo", echo).before(async |_: &mut Context| -> Result<(), Error> { panic!("hook") }),
    );
    assert_eq!(failed(request(&registry, "echo", b"").await), ("PIT-500".into(), "internal error".into()));
    assert_eq!(registry.counts().panicked, 1);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_for_hooks_too() {
    async fn wait(context: &mut Context) -> Result<(), Error> {
        context.cancellation().cancelled().await;
        std::future::pending().await
    }
    let registry = registry(Service::new().request("echo", echo).before(wait));
    let start = Instant::now();
    assert_eq!(failed(request(&registry, "echo", b"").await).0, "PIT-504");
    assert_eq!(start.elapsed().as_secs(), (TIMEOUT + GRACE).as_secs());
    assert_eq!(registry.counts().dropped, 1);
}
