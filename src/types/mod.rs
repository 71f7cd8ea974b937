//! Plain values that cannot be wrong (floor 0): parsed once at the edge, trusted from there on.
mod client_id;
mod commit;
mod identity;
mod message;
mod now;
mod packet_id;
mod qos;
mod reason;
mod session_key;
mod small_map;
mod text;
mod topic;
mod violation;

pub use client_id::ClientId;
pub use commit::CommitSeq;
pub use identity::Identity;
pub use message::{Message, PublishProperties, Stamp};
pub use now::Now;
pub use packet_id::PacketId;
pub use qos::QoS;
pub use reason::ReasonCode;
pub use session_key::SessionKey;
pub use small_map::SmallMap;
pub use text::{Text, UserProperties};
pub use topic::{Share, ShareName, TopicFilter, TopicName};
pub use violation::Violation;
