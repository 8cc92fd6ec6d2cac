//! What limits have counted for one handshake, and the places that they keep for it until its answer
//! is known. Wherever the handshake ends, the places are given back.

use std::sync::Weak;

use super::Services;
use super::increment::Deferred;
use crate::counter::{Key, Taken};
use crate::quota::Booked;

/// Of one handshake.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// By rate limits.
    pub(super) taken: Vec<Taken>,
    /// By quotas.
    pub(super) booked: Vec<Booked>,
    /// What is counted when the answer is known.
    pub(super) deferred: Vec<Deferred>,
    /// Who takes back the places; known as soon as there is one.
    services: Weak<Services>,
}

impl Counted {
    /// How many limits have counted it, and how many wait for its answer.
    pub(crate) fn limits(&self) -> (usize, usize) {
        let taken = self.taken.iter().filter(|taken| !taken.is_held());
        let booked = self.booked.iter().filter(|booked| !booked.is_held());
        (taken.count() + booked.count(), self.deferred.len())
    }

    /// Is anything to be counted when the answer is known?
    pub(super) fn waits(&self) -> bool {
        !self.deferred.is_empty()
    }

    /// To be counted when the answer is known.
    pub(super) fn defer(&mut self, deferred: Option<Deferred>) {
        self.deferred.extend(deferred);
    }

    pub(super) fn add_taken(&mut self, taken: Option<Taken>, services: &Services) {
        if taken.is_some_and(|taken| taken.is_held()) {
            self.services = services.this();
        }
        self.taken.extend(taken);
    }

    pub(super) fn add_booked(&mut self, booked: Option<Booked>, services: &Services) {
        if booked.is_some_and(|booked| booked.is_held()) {
            self.services = services.this();
        }
        self.booked.extend(booked);
    }

    /// The places that a rate limit's key keeps.
    pub(super) fn held_taken(&mut self, key: Key) -> Vec<Taken> {
        let of_key = |taken: &mut Taken| taken.is_held() && taken.key() == key;
        self.taken.extract_if(.., of_key).collect()
    }

    /// The places that a quota's key keeps.
    pub(super) fn held_booked(&mut self, key: Key) -> Vec<Booked> {
        let of_key = |booked: &mut Booked| booked.is_held() && booked.key() == key;
        self.booked.extract_if(.., of_key).collect()
    }

    /// What was counted for good of a rate limit's key.
    pub(super) fn taken_of(&self, key: Key) -> u32 {
        let of_key = self.taken.iter().filter(|taken| taken.key() == key);
        let counted = of_key.filter(|taken| !taken.is_held());
        counted.fold(0, |sum, taken| sum.saturating_add(taken.weight()))
    }

    /// What was counted for good of a quota's key.
    pub(super) fn booked_of(&self, key: Key) -> u32 {
        let of_key = self.booked.iter().filter(|booked| booked.key() == key);
        let counted = of_key.filter(|booked| !booked.is_held());
        counted.fold(0, |sum, booked| sum.saturating_add(booked.weight()))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(services) = self.services.upgrade() else {
            return;
        };
        for taken in self.taken.drain(..).filter(Taken::is_held) {
            services.give_back_taken(taken);
        }
        for booked in self.booked.drain(..).filter(Booked::is_held) {
            services.give_back_booked(booked);
        }
    }
}
