//! One Session as a pure state machine (floor 2): packets, deliveries, commits and the time go in, a [`Turn`] comes out.
//!
//! No socket, disk, lock or clock. The connection owns its `Session` by value; between connections the [`Parked`] part
//! waits for the client or for its end. What may not leave before it is durable waits in the [`gate`].
mod alias;
mod attached;
mod authentication;
mod clearance;
mod close;
mod delivery;
mod dropped;
mod gate;
mod inbound;
mod limits;
mod look;
mod open;
mod outbound;
mod parked;
mod publishing;
mod released;
mod state;
mod subscribing;
mod timing;
mod turn;

pub use attached::Session;
pub use authentication::{Authenticated, AuthenticationStep, Verdict};
pub use clearance::Clearance;
pub use close::{Cause, Close, Ended};
pub use delivery::{Delivery, OutgoingPublish};
pub use dropped::{DropReason, Dropped};
pub use limits::{Denied311, Features, Limits, OnFull, Refused311};
pub use look::{InHand, Look, Span, Stage, UnderWay};
pub use open::{Opened, requested_client_id, requested_expiry_s, welcome};
pub use outbound::Shelved;
pub use parked::{Parked, Saved};
pub use publishing::granted;
pub use released::{ByRule, Released, Room};
pub use state::Subscribed;
pub use turn::{Ask, Change, Outcome, Outgoing, Publication, Requested, Subscribing, Turn};
