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
mod error_chain;
mod expression;
mod gateway;
mod gateway_config;
mod hash;
pub mod htpasswd;
mod identity;
mod limits;
mod log_filter;
mod names;
mod parts;
pub mod path;
pub mod policy;
mod rendered;
mod secret_data;
mod telemetry;
mod timestamp;
mod url_text;
mod value;

pub use backend::{
    ActiveHealthCheck, BackendProxy, BackendTls, CircuitBreaker, Failover, HealthCheck,
    HealthCheckType, HostName, PassiveHealthCheck, PoolMember, StatusRange, TrustAnchorKind,
    TrustAnchorRef,
};
pub use close_code::{CloseCode, InvalidCloseCode};
pub use counters::{
    Counters, CountersConfig, OnFailure, RedisCounters, is_counters_url, is_secure_counters_url,
};
pub use dependency::{Dependency, Unreachable, shown_url};
pub use duration::{Duration, InvalidDuration};
pub use error_chain::{error_chain, error_chain_by};
pub use expression::{Expression, ExpressionKind};
pub use gateway::{
    ClientCertificates, Drain, GatewayLimits, GatewayTimeouts, Protocol, TlsVersion,
};
pub use gateway_config::{
    ApiConfig, ClientAuthConfig, GatewayConfig, GatewaySettings, InactiveState,
    InactiveSubscription, KeyNames, ListenerConfig, ListenerTlsConfig, PathMatch, ProductConfig,
    Rejected, SubscriptionConfig, SubscriptionScope, UrlScheme,
};
pub use hash::{key_hash, sha256};
pub use identity::ObjectKey;
pub use limits::{ApiLimits, ApiTimeouts, LiveAccess, OnChange, OnExceed, Rate};
pub use log_filter::{InvalidLogFilter, check_log_filter};
pub use names::{
    ANNOTATION_CONFIG_ERROR, ANNOTATION_REJECTED, ANNOTATION_REVISION, ANNOTATION_UNREACHABLE,
    DEFAULT_KEY_HEADER, DEFAULT_KEY_QUERY, INDEX_KEY, LABEL_GATEWAY, LABEL_PART, PART_ACK,
    PART_INDEX, PART_SECRET_DATA, PART_SHARD, SECRET_DATA_KEY, SHARD_KEY, index_name,
};
pub use parts::{
    AssembleError, ConfigIndex, ConfigParts, FORMAT_VERSION, HARD_LIMIT_BYTES, PartRef, Shard,
    assemble, split_config,
};
pub use rendered::{ChangedConfig, Rendered};
pub use secret_data::{ConfigMapKeyRef, SecretData, SecretDataId, SecretKeyRef};
pub use telemetry::{
    AccessLog, InvalidLineTemplate, LineField, LineKind, LinePiece, LineTemplate, LogFormat,
    LogSampling, MessageLabel, MetricLabels, Telemetry, TextLines, TraceExport,
};
pub use timestamp::{InvalidTimestamp, Timestamp};
pub use url_text::{InvalidUrlText, check_path, check_url};
pub use value::{NamedValue, ResolvedValue};
