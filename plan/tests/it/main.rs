//! What comes out of a world: tables of cases, by subject.

mod assignment;
mod blast_radius;
mod conflicts;
mod keys;
mod policies;
mod products;
mod properties;
mod references;
mod scale;
mod subscriptions;
mod support;
