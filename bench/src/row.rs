//! What is measured: the rows of both tables and their targets.

use crate::peer::Kind;

/// A row.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) target: Option<Target>,
}

/// How its values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Micros,
    PerSecond,
    Bytes,
}

/// What Tidegate's value must not exceed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// So many times the value of a peer.
    Of(f64, Kind),
    /// This.
    Most(f64),
    /// So many times Tidegate's bare handshake.
    OfBare(f64),
}

const fn row(name: &'static str, unit: Unit, target: Option<Target>) -> Row {
    Row { name, unit, target }
}

pub(crate) const CPU_SMALL: Row = row(
    "CPU per 64 B round trip",
    Unit::Micros,
    Some(Target::Of(0.9, Kind::Nginx)),
);
pub(crate) const RATE_SMALL: Row = row("64 B round trips a second", Unit::PerSecond, None);
pub(crate) const CPU_LARGE: Row = row(
    "CPU per 16 KiB round trip",
    Unit::Micros,
    Some(Target::Of(0.9, Kind::Envoy)),
);
pub(crate) const RATE_LARGE: Row = row("16 KiB round trips a second", Unit::PerSecond, None);
pub(crate) const ADDED_50: Row = row("added latency at half load, p50", Unit::Micros, None);
pub(crate) const ADDED_99: Row = row(
    "added latency at half load, p99",
    Unit::Micros,
    Some(Target::Most(100.0)),
);
pub(crate) const ADDED_999: Row = row("added latency at half load, p99.9", Unit::Micros, None);
/// What the machine does besides: an added latency below it says little.
pub(crate) const DIRECT_99: Row = row(
    "the direct connection's own latency meanwhile, p99",
    Unit::Micros,
    None,
);
pub(crate) const SHAKE_CPU: Row = row(
    "CPU per handshake (Tidegate: with key check)",
    Unit::Micros,
    Some(Target::Of(1.0, Kind::Haproxy)),
);
pub(crate) const SHAKE_RATE: Row = row("handshakes a second", Unit::PerSecond, None);
pub(crate) const IDLE_WS: Row = row(
    "memory per idle pair, ws to ws",
    Unit::Bytes,
    Some(Target::Most(3.0 * 1024.0)),
);
pub(crate) const IDLE_WSS: Row = row(
    "memory per idle pair, wss to ws",
    Unit::Bytes,
    Some(Target::Most(16.0 * 1024.0)),
);
pub(crate) const DEAF: Row = row("memory per pair with a slow reader", Unit::Bytes, None);
pub(crate) const CYCLES: Row = row(
    "growth over cycles of connects and disconnects",
    Unit::Bytes,
    None,
);

/// Rows of the comparison.
pub(crate) const COMPARED: [&Row; 14] = [
    &CPU_SMALL,
    &RATE_SMALL,
    &CPU_LARGE,
    &RATE_LARGE,
    &ADDED_50,
    &ADDED_99,
    &ADDED_999,
    &DIRECT_99,
    &SHAKE_CPU,
    &SHAKE_RATE,
    &IDLE_WS,
    &IDLE_WSS,
    &DEAF,
    &CYCLES,
];

pub(crate) const BARE: Row = row("bare", Unit::Micros, None);
pub(crate) const KEY: Row = row("subscription key", Unit::Micros, Some(Target::OfBare(2.0)));
pub(crate) const EDITS: Row = row(
    "subscription key, two conditions, three edits",
    Unit::Micros,
    Some(Target::OfBare(2.0)),
);
pub(crate) const ES256: Row = row(
    "JWT ES256, less the signature's arithmetic",
    Unit::Micros,
    Some(Target::OfBare(2.0)),
);
pub(crate) const RS256: Row = row(
    "JWT RS256, less the signature's arithmetic",
    Unit::Micros,
    Some(Target::OfBare(2.0)),
);

pub(crate) const ALL_ES256: Row = row(
    "subscription key, JWT ES256, two conditions, three edits, less the signature's arithmetic",
    Unit::Micros,
    Some(Target::OfBare(2.0)),
);
pub(crate) const ALL_RS256: Row = row(
    "subscription key, JWT RS256, two conditions, three edits, less the signature's arithmetic",
    Unit::Micros,
    Some(Target::OfBare(2.0)),
);

/// Rows of Tidegate's handshakes.
pub(crate) const HANDSHAKES: [&Row; 7] =
    [&BARE, &KEY, &EDITS, &ES256, &RS256, &ALL_ES256, &ALL_RS256];
