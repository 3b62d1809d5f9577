//! A client that does one thing after the other, over any stream of bytes.

use std::io::{Read, Write};

use serde_json::Value;

const HANDSHAKE: u8 = 1;
const ACK: u8 = 2;
const DATA: u8 = 4;

/// The flags of a message: what kind it is, and that it is an error.
const REQUEST: u8 = 0;
const RESPONSE: u8 = 4;
const ERROR: u8 = 0x20;

/// A client past its handshake.
pub(crate) struct Client<S> {
    stream: S,
    /// What the server said in the handshake.
    pub(crate) greeting: Value,
    requests: u8,
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn new(mut stream: S) -> Self {
        send(&mut stream, HANDSHAKE, br#"{"sys":{},"user":{}}"#);
        let (kind, body) = receive(&mut stream);
        assert_eq!(kind, HANDSHAKE);
        let greeting: Value = serde_json::from_slice(&body).expect("the handshake is JSON");
        assert_eq!(greeting["code"], 200, "{greeting}");
        send(&mut stream, ACK, &[]);
        Self { stream, greeting, requests: 0 }
    }

    /// What a request is answered with: the body, or that of an error.
    pub(crate) fn request(&mut self, route: &str, body: &[u8]) -> Result<Vec<u8>, Vec<u8>> {
        self.requests += 1;
        let head = [REQUEST, self.requests, u8::try_from(route.len()).expect("a short route")];
        send(&mut self.stream, DATA, &[&head, route.as_bytes(), body].concat());
        let (kind, message) = receive(&mut self.stream);
        assert_eq!((kind, message[1]), (DATA, self.requests));
        let body = message[2..].to_vec();
        match message[0] {
            RESPONSE => Ok(body),
            flags => {
                assert_eq!(flags, RESPONSE | ERROR);
                Err(body)
            }
        }
    }

    /// The same in JSON; an error is its code.
    pub(crate) fn json(&mut self, route: &str, body: &Value) -> Result<Value, String> {
        let parse = |body: Vec<u8>| serde_json::from_slice::<Value>(&body).expect("the answer is JSON");
        let answer = self.request(route, body.to_string().as_bytes()).map(parse);
        answer.map_err(|error| parse(error)["code"].as_str().expect("an error has a code").to_owned())
    }
}

fn send(stream: &mut impl Write, kind: u8, body: &[u8]) {
    let length = u32::try_from(body.len()).expect("a short body").to_be_bytes();
    stream.write_all(&[&[kind], &length[1..], body].concat()).expect("the server reads");
}

fn receive(stream: &mut impl Read) -> (u8, Vec<u8>) {
    let mut header = [0; 4];
    stream.read_exact(&mut header).expect("a packet");
    let length = u32::from_be_bytes([0, header[1], header[2], header[3]]);
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).expect("its body");
    (header[0], body)
}
