//! IP addresses, CIDRs and URLs, as in Kubernetes.

use super::Overload;
use crate::types::{Item, Type};

const TEXT: Type = Type::Text;

pub(super) const OVERLOADS: &[Overload] = &[
    Overload::foreign("ip", &[TEXT], Type::Ip),
    Overload::foreign("isIP", &[TEXT], Type::Bool),
    Overload::foreign("isIPv4", &[TEXT], Type::Bool),
    Overload::foreign("isIPv6", &[TEXT], Type::Bool),
    Overload::foreign("ip.isCanonical", &[TEXT], Type::Bool),
    Overload::foreign("family", &[Type::Ip], Type::Int).method(),
    Overload::foreign("isLoopback", &[Type::Ip], Type::Bool).method(),
    Overload::foreign("isUnspecified", &[Type::Ip], Type::Bool).method(),
    Overload::foreign("isLinkLocalMulticast", &[Type::Ip], Type::Bool).method(),
    Overload::foreign("isLinkLocalUnicast", &[Type::Ip], Type::Bool).method(),
    Overload::foreign("isGlobalUnicast", &[Type::Ip], Type::Bool).method(),
    Overload::foreign("string", &[Type::Ip], TEXT).method(),
    Overload::foreign("cidr", &[TEXT], Type::Cidr),
    Overload::foreign("isCIDR", &[TEXT], Type::Bool),
    Overload::foreign("isCIDRv4", &[TEXT], Type::Bool),
    Overload::foreign("isCIDRv6", &[TEXT], Type::Bool),
    Overload::foreign("containsIP", &[Type::Cidr, TEXT], Type::Bool).method(),
    Overload::foreign("containsIP", &[Type::Cidr, Type::Ip], Type::Bool).method(),
    Overload::foreign("containsCIDR", &[Type::Cidr, TEXT], Type::Bool).method(),
    Overload::foreign("containsCIDR", &[Type::Cidr, Type::Cidr], Type::Bool).method(),
    Overload::foreign("prefixLength", &[Type::Cidr], Type::Int).method(),
    Overload::foreign("masked", &[Type::Cidr], Type::Cidr).method(),
    Overload::foreign("ip", &[Type::Cidr], Type::Ip).method(),
    Overload::foreign("string", &[Type::Cidr], TEXT).method(),
    Overload::foreign("url", &[TEXT], Type::Url),
    Overload::foreign("isURL", &[TEXT], Type::Bool),
    Overload::foreign("getScheme", &[Type::Url], TEXT).method(),
    Overload::foreign("getHost", &[Type::Url], TEXT).method(),
    Overload::foreign("getHostname", &[Type::Url], TEXT).method(),
    Overload::foreign("getPort", &[Type::Url], TEXT).method(),
    Overload::foreign("getEscapedPath", &[Type::Url], TEXT).method(),
    Overload::foreign("getQuery", &[Type::Url], Type::Map(Item::Texts)).method(),
];
