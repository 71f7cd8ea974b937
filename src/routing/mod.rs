//! Who gets a message: the subscription tree, shared subscription groups and retained messages (floor 2).
//!
//! Plain data structures, generic over what stands behind a subscription. They hold no lock: the broker wraps them.
mod audience;
mod children;
mod group;
mod key;
mod levels;
mod retained;
mod route;
mod subscription;
mod tree;
mod trie;

pub use group::{Group, MemberState, Strategy};
pub use retained::{Entry as RetainedEntry, Page, Retained};
pub use route::{Route, Target};
pub use subscription::{Subscriber, Subscription};
pub use tree::{Added, Tree};
