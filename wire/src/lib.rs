//! WebSocket byte for byte: frames that no library would write, and connections of which the caller decides
//! each byte. For tests, benchmarks and the conformance suite. Errors say what was awaited.

pub mod connection;
pub mod frame;
mod head;
pub mod wait;

pub use connection::Wire;
pub use frame::Frame;
pub use head::Head;
