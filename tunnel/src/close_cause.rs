//! Why a tunnel ended.

/// Why a tunnel ended. The closed set behind the metric label and the log field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCause {
    /// The client sent a Close.
    ClientClosed,
    /// The backend sent a Close.
    BackendClosed,
    /// The client went away without a Close.
    ClientLost,
    /// The backend went away without a Close.
    BackendLost,
    /// No bytes in either direction for too long.
    Idle,
    /// The tunnel reached its maximum age.
    MaxDuration,
    /// A side did not answer a ping.
    PongTimeout,
    /// This gateway pod goes away.
    Drain,
    /// The API changed, and says that its tunnels then go.
    ApiChanged,
    /// The API is no longer on this gateway or listener.
    ApiRemoved,
    /// Somebody who runs the gateway closed it.
    AdminClosed,
    /// The token expired.
    TokenExpired,
    /// The subscription expired.
    SubscriptionExpired,
    /// The subscription is gone or does not open this API any more.
    SubscriptionEnded,
    /// The key that opened the tunnel is not valid any more.
    KeyRotated,
    /// The product is gone or does not contain this API any more.
    ProductEnded,
    /// A message above the limit.
    MessageTooBig,
    /// Messages above the rate.
    MessageRate,
    /// Bytes above the rate.
    ByteRate,
    /// The bandwidth quota is used up.
    QuotaExceeded,
    /// A side took no byte for too long.
    WriteStall,
    /// A side broke RFC 6455.
    ProtocolViolation,
    /// Time was up: the sockets were cut.
    Cut,
    /// The gateway is at fault.
    Fault,
}
