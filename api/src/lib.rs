//! Tidegate's custom resources: Gateway, WebSocketApi, Product, Subscription,
//! SubscriptionRequest, PolicyFragment.
//!
//! Types, schemas and validation rules only: nothing here talks to a cluster, and nothing decides
//! what a resource means together with others (that is the planner's).

#![expect(
    clippy::duplicated_attributes,
    reason = "columns of a kind have types in common"
)]
#![expect(
    unreachable_pub,
    reason = "KubeSchema and CustomResource derive public helpers in private modules"
)]

mod condition;
mod crds;
mod example;
mod gateway;
mod json_schema;
mod metadata;
mod namespaces;
mod policy_fragment;
mod product;
mod subscription;
mod subscription_request;
mod validate;
mod web_socket_api;

pub use condition::{ConditionType, Reason};
pub use crds::{Crd, crds};
pub use gateway::{
    AddressType, ApiNamespaces, Autoscaling, CertificateRef, ClaimVolume, ConfigMapVolume,
    CsiVolume, Deployment, EmptyDirVolume, ExtraVolume, Gateway, GatewayAddress, GatewayKeyNames,
    GatewaySpec, GatewayStatus, ImagePullSecret, Listener, ListenerStatus, ListenerTls,
    OverlappingRoutes, PodDisruptionBudgetSpec, PodsStatus, RollingUpdate, SecretVolume, Service,
    ServiceTrafficPolicy, ServiceType, Strategy, StrategyType,
};
pub use json_schema::{json_schema, json_schemas};
pub use metadata::{Contact, License};
pub use namespaces::{NamespacesFrom, SubscriptionNamespaces};
pub use policy_fragment::{PolicyFragment, PolicyFragmentSpec, PolicyFragmentStatus};
pub use product::{ApiRef, Product, ProductSpec, ProductState, ProductStatus};
pub use subscription::{
    Approval, ApprovedTerms, KeyStatus, KeysStatus, ScopeRef, Subscription, SubscriptionKeys,
    SubscriptionPhase, SubscriptionSpec, SubscriptionState, SubscriptionStatus,
};
pub use subscription_request::{
    RequestedTerms, RequestingSubscription, SubscriptionRequest, SubscriptionRequestSpec,
    SubscriptionRequestStatus,
};
pub use validate::{Finding, Validator};
pub use web_socket_api::{
    ApiGatewayStatus, ApiKeyNames, Backend, GatewayRef, WebSocketApi, WebSocketApiSpec,
    WebSocketApiStatus,
};

/// API group of all kinds.
pub const GROUP: &str = "tidegate.dev";
/// The only version of all kinds.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of all kinds.
pub const API_VERSION: &str = "tidegate.dev/v1alpha1";

/// Label of every object that the operator makes; its value is [`MANAGED_BY`].
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`LABEL_MANAGED_BY`].
pub const MANAGED_BY: &str = "tidegate";
/// Annotation of a generated key Secret: generation of its primary key.
pub const ANNOTATION_PRIMARY_GENERATION: &str = "tidegate.dev/primary-generation";
/// Annotation of a generated key Secret: generation of its secondary key.
pub const ANNOTATION_SECONDARY_GENERATION: &str = "tidegate.dev/secondary-generation";
/// Data key of a Secret with subscription keys.
pub const PRIMARY_KEY: &str = "primaryKey";
/// Data key of a Secret with subscription keys.
pub const SECONDARY_KEY: &str = "secondaryKey";
