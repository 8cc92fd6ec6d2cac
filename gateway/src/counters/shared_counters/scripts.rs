//! What runs inside Redis, each atomically.

use redis::Script;

/// All scripts, known by their hash once Redis has seen them.
pub(super) struct Scripts {
    pub(super) rate: Script,
    pub(super) rate_back: Script,
    pub(super) quota: Script,
    pub(super) quota_back: Script,
    pub(super) lease: Script,
    pub(super) leased: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            rate: Script::new(include_str!("scripts/rate.lua")),
            rate_back: Script::new(include_str!("scripts/rate_back.lua")),
            quota: Script::new(include_str!("scripts/quota.lua")),
            quota_back: Script::new(include_str!("scripts/quota_back.lua")),
            lease: Script::new(include_str!("scripts/lease.lua")),
            leased: Script::new(include_str!("scripts/leased.lua")),
            renew: Script::new(include_str!("scripts/renew.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
        }
    }
}
