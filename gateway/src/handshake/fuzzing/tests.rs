//! The seeds of the fuzz targets, and what was once found, hold in every test run.

mod seeds;

use tidegate_tunnel::fuzzing::replay;

use super::*;

#[test]
fn heads_hold_for_every_seed() {
    replay("heads", &seeds::heads(), heads);
}

#[test]
fn proxy_headers_hold_for_every_seed() {
    replay("proxy_header", &seeds::proxy_header(), proxy_header);
}
