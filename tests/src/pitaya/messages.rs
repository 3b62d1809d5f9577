//! The messages of package `protos`.

use std::collections::HashMap;

/// The type of a [`Call`] for a client's message.
pub const RPC_SYS: i32 = 0;
/// The type of a [`Call`] from server to server.
pub const RPC_USER: i32 = 1;
/// The type of a [`Msg`] that is a request.
pub const MESSAGE_REQUEST: i32 = 0;
/// The type of a [`Msg`] that is a notify.
pub const MESSAGE_NOTIFY: i32 = 1;

/// `protos.Request`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Call {
    /// [`RPC_SYS`] or [`RPC_USER`].
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The caller's session.
    #[prost(message, optional, tag = "2")]
    pub session: Option<Session>,
    /// What is asked.
    #[prost(message, optional, tag = "3")]
    pub msg: Option<Msg>,
    /// The frontend's server id.
    #[prost(string, tag = "4")]
    pub frontend: String,
    /// A JSON object.
    #[prost(bytes = "vec", tag = "5")]
    pub metadata: Vec<u8>,
}

/// `protos.Session`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Session {
    /// Its number at the frontend.
    #[prost(int64, tag = "1")]
    pub id: i64,
    /// The user, or nothing.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// A JSON object.
    #[prost(bytes = "vec", tag = "3")]
    pub data: Vec<u8>,
}

/// `protos.Msg`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Msg {
    /// The client's request id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// The full route.
    #[prost(string, tag = "2")]
    pub route: String,
    /// The body.
    #[prost(bytes = "vec", tag = "3")]
    pub data: Vec<u8>,
    /// Not used.
    #[prost(string, tag = "4")]
    pub reply: String,
    /// [`MESSAGE_REQUEST`] or [`MESSAGE_NOTIFY`].
    #[prost(int32, tag = "5")]
    pub kind: i32,
}

/// `protos.Response`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    /// The reply.
    #[prost(bytes = "vec", tag = "1")]
    pub data: Vec<u8>,
    /// Or what went wrong.
    #[prost(message, optional, tag = "2")]
    pub error: Option<CallError>,
}

/// `protos.Error`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CallError {
    /// Such as `PIT-404`.
    #[prost(string, tag = "1")]
    pub code: String,
    /// For people.
    #[prost(string, tag = "2")]
    pub msg: String,
    /// More for programs.
    #[prost(map = "string, string", tag = "3")]
    pub metadata: HashMap<String, String>,
}

/// `protos.Push`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Push {
    /// Its name.
    #[prost(string, tag = "1")]
    pub route: String,
    /// For whom.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// The body.
    #[prost(bytes = "vec", tag = "3")]
    pub data: Vec<u8>,
}

/// `protos.BindMsg`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct BindMsg {
    /// The user.
    #[prost(string, tag = "1")]
    pub uid: String,
    /// The frontend that the user is at.
    #[prost(string, tag = "2")]
    pub fid: String,
}

/// `protos.KickMsg`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KickMsg {
    /// The user.
    #[prost(string, tag = "1")]
    pub uid: String,
}

/// `protos.KickAnswer`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KickAnswer {
    /// Whether somebody was kicked.
    #[prost(bool, tag = "1")]
    pub kicked: bool,
}

impl Call {
    /// A client's message.
    pub fn sys(session: Session, frontend: &str, route: &str, data: impl Into<Vec<u8>>) -> Call {
        let msg = Msg { id: 1, route: route.to_owned(), data: data.into(), ..Msg::default() };
        let metadata = br#"{"reqTimeout":"5s"}"#.to_vec();
        Call { kind: RPC_SYS, session: Some(session), msg: Some(msg), frontend: frontend.to_owned(), metadata }
    }

    /// A call from server to server.
    pub fn user(route: &str, data: impl Into<Vec<u8>>) -> Call {
        let call = Call::sys(Session::default(), "", route, data);
        Call { kind: RPC_USER, session: None, ..call }
    }

    /// The same message as one that wants no answer.
    #[must_use]
    pub fn notify(mut self) -> Call {
        if let Some(msg) = &mut self.msg {
            (msg.id, msg.kind) = (0, MESSAGE_NOTIFY);
        }
        self
    }

    /// The last part of its route.
    pub fn method(&self) -> &str {
        self.msg.as_ref().and_then(|msg| msg.route.rsplit('.').next()).unwrap_or_default()
    }

    /// Its body.
    pub fn data(&self) -> &[u8] {
        self.msg.as_ref().map_or(&[], |msg| &msg.data)
    }
}

impl Response {
    /// A reply.
    pub fn ok(data: impl Into<Vec<u8>>) -> Response {
        Response { data: data.into(), error: None }
    }

    /// A failure.
    pub fn failed(code: &str, msg: &str, metadata: &[(&str, &str)]) -> Response {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let error = CallError { code: code.to_owned(), msg: msg.to_owned(), metadata };
        Response { data: Vec::new(), error: Some(error) }
    }
}
