use tidegate_tunnel::relay::Relay;

use super::*;

fn size_of_future<A, B, C, F: Future>(_: impl FnOnce(A, B, C) -> F) -> usize {
    size_of::<F>()
}

fn size_of_future_of_two<A, B, F: Future>(_: impl FnOnce(A, B) -> F) -> usize {
    size_of::<F>()
}

/// What a task holds for as long as a tunnel lives: the relay once, and little more. The
/// handshake's own state is several KiB.
#[test]
fn a_tunnel_is_small_and_stands_in_memory_once() {
    let relay = size_of::<Relay<Transport>>();
    let tunnel = size_of::<OpenTunnel>();
    assert!(
        tunnel <= relay + 256,
        "{tunnel} bytes, of which the relay is {relay}"
    );
    let task = size_of_future(serve_connection);
    assert!(task <= 128, "{task} bytes besides the tunnel's");
    let handshake = size_of_future_of_two(begin);
    assert!(handshake <= 6 * 1024, "{handshake} bytes while it lasts");
}
