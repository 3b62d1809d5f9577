//! Who may ask: a page from here, and nobody that a browser on this machine was talked into.

use std::net::IpAddr;

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};

/// What a page from here may do: its own files, and connections to frontends, which have ports of their own. Text stays
/// text: nothing may become HTML or code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Let pass what comes from the page itself or from no browser, and say in each answer what a browser may do with it.
pub(super) async fn check(request: Request, next: Next) -> Response {
    let mut response = match refusal(request.headers()) {
        None => next.run(request).await,
        Some(reason) => (StatusCode::FORBIDDEN, format!("{reason}\n")).into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Why a request is refused, if it is. A page of another origin says so in `Origin`. One whose name was made to resolve to
/// this machine has a name as `Host`; `localhost` and addresses cannot be had by others. Forms and such, which need no
/// permission to send, cannot send JSON: that the extractor of the body insists on.
fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host.filter(|host| is_here(host)) else {
        return Some("open this page by its address or as localhost");
    };
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes)?;
    (origin.strip_prefix(b"http://") != Some(host.as_bytes())).then_some("not for other pages")
}

fn is_here(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host();
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}
