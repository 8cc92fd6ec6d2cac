//! The contract between Tidegate's operator and its gateways.
//!
//! Two things live here: the vocabulary that resources and gateways share
//! (policies, limits, timeouts, listeners, backends), and the rendered
//! [`GatewayConfig`] with the shards that carry it. Plain data only: nothing
//! here opens a file or a socket, and nothing knows Kubernetes or tokio.

mod backend;
mod close_code;
mod counters;
mod dependency;
mod duration;
mod expression;
mod gateway;
pub mod htpasswd;
mod identity;
mod limits;
mod material;
mod names;
pub mod path;
pub mod policy;
mod rendered;
mod shard;
mod telemetry;
mod timestamp;
mod url_text;
mod value;

pub use backend::{
    ActiveHealthCheck, BackendProxy, BackendTls, CircuitBreaker, HealthCheck, HealthCheckType,
    HostName, PassiveHealthCheck, PoolMember, TrustAnchorKind, TrustAnchorRef,
};
pub use close_code::{CloseCode, InvalidCloseCode};
pub use counters::{
    Counters, CountersConfig, OnFailure, RedisCounters, is_counters_url, is_secure_counters_url,
};
pub use dependency::{Dependency, Unreachable, shown_url};
pub use duration::{Duration, InvalidDuration};
pub use expression::{Expression, ExpressionKind};
pub use gateway::{
    ClientCertificates, Drain, GatewayLimits, GatewayTimeouts, Protocol, TlsVersion,
};
pub use identity::ObjectKey;
pub use limits::{ApiLimits, ApiTimeouts, LiveAccess, OnChange, OnExceed, Rate};
pub use material::{ConfigMapKeyRef, Material, MaterialId, SecretKeyRef, key_hash};
pub use names::{
    ANNOTATION_CONFIG_ERROR, ANNOTATION_REJECTED, ANNOTATION_REVISION, ANNOTATION_UNREACHABLE,
    DEFAULT_KEY_HEADER, DEFAULT_KEY_QUERY, INDEX_KEY, LABEL_GATEWAY, LABEL_PART, MATERIAL_KEY,
    PART_ACK, PART_INDEX, PART_MATERIAL, PART_SHARD, SHARD_KEY, index_name,
};
pub use rendered::{
    ApiConfig, ClientAuthConfig, GatewayConfig, GatewaySettings, KeyNames, ListenerConfig,
    ListenerTlsConfig, PathMatch, ProductConfig, Rejected, SubscriptionConfig, SubscriptionScope,
    UrlScheme,
};
pub use shard::{
    AssembleError, FORMAT_VERSION, HARD_LIMIT_BYTES, Index, PartRef, Rendered, Shard, assemble,
    render, sha256,
};
pub use telemetry::{
    AccessLog, InvalidLineTemplate, LineField, LineKind, LinePiece, LineTemplate, LogFormat,
    LogSampling, MessageLabel, MetricLabels, Telemetry, TextLines, TraceExport,
};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use url_text::{InvalidUrlText, check_path, check_url};
pub use value::{NamedValue, ResolvedValue};
