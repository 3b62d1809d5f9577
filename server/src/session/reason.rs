//! Why sessions end, as closed sets: they are labels of metrics.

/// Declares a closed enum whose variants have a fixed name.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $number:literal $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_meta])* $variant = $number,)*
        }

        impl $name {
            /// Every reason there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in metrics, logs and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The number between servers; it never changes.
            pub const fn number(self) -> u32 {
                self as u32
            }

            /// The reason with that number; `None` for one of a later release.
            pub fn from_number(number: u32) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.number() == number)
            }

            /// The reason with that name; `None` for one of a later release.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

reasons! {
    /// Why a connection, and with it its session, ended.
    CloseReason {
        /// The client closed the connection, or its stream ended.
        ClientClosed = 1 "client_closed",
        /// Reading or writing failed.
        ConnectionLost = 2 "connection_lost",
        /// A header of no known packet, or a packet that breaks off.
        MalformedPacket = 3 "malformed_packet",
        /// A packet or an inflated message over its limit.
        TooLarge = 4 "too_large",
        /// A Data packet whose message cannot be decoded.
        MalformedMessage = 5 "malformed_message",
        /// A packet that its state does not allow.
        ProtocolError = 6 "protocol_error",
        /// A handshake that is not valid.
        InvalidHandshake = 7 "invalid_handshake",
        /// A validator refused the handshake.
        HandshakeRefused = 8 "handshake_refused",
        /// No Ack in time.
        HandshakeTimeout = 9 "handshake_timeout",
        /// No packet for three heartbeat intervals.
        HeartbeatTimeout = 10 "heartbeat_timeout",
        /// The client does not read what it is sent.
        SlowConsumer = 11 "slow_consumer",
        /// A write did not end in time.
        WriteTimeout = 12 "write_timeout",
        /// A handler or another server kicked the session.
        Kicked = 13 "kicked",
        /// The same user was bound to a newer session.
        Replaced = 14 "replaced",
        /// The rate limit was passed for too long.
        RateLimited = 15 "rate_limited",
        /// The server drains or stops.
        Draining = 16 "draining",
        /// The connection's task failed; a bug.
        Internal = 17 "internal",
        /// No PROXY header from a load balancer that is trusted.
        ProxyHeader = 18 "proxy_header",
        /// The client and the server did not agree on TLS.
        TlsHandshake = 19 "tls_handshake",
    }
}

reasons! {
    /// Why a session is kicked. A client that asked for reasons reads [`KickReason::as_str`] as the code.
    KickReason {
        /// User code asked for it.
        Application = 1 "kicked",
        /// The same user was bound to a newer session.
        Replaced = 2 "replaced",
        /// The rate limit was passed for too long.
        RateLimited = 3 "rate_limited",
    }
}

impl KickReason {
    /// What the client may show.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Application => "kicked by the server",
            Self::Replaced => "connected from elsewhere",
            Self::RateLimited => "too many messages",
        }
    }

    /// The reason the connection then closes with.
    pub const fn closes_with(self) -> CloseReason {
        match self {
            Self::Application => CloseReason::Kicked,
            Self::Replaced => CloseReason::Replaced,
            Self::RateLimited => CloseReason::RateLimited,
        }
    }
}
