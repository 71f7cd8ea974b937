//! Who may publish and subscribe to what (floor 2): rules, and the rights that follow from them for one client.
//!
//! A rules file becomes [`Rules`]. For a client that connects they become its [`Rights`]: only the rules that speak of
//! it, with its names put in. The first rule that matches decides; what no rule allows is denied. Without any file the
//! rules are open: everything may be read, and everything written but topics that begin with `$`.
mod fault;
mod filters;
mod mosquitto;
mod own_form;
mod pattern;
mod rights;
mod rule;
mod who;

pub use fault::Fault;
pub use filters::{covers, overlaps};
pub use rights::{Decided, Publishing, Rights, Verdict};
pub use rule::{Place, Rules};

use crate::types::{ClientId, Identity};

/// Whose rights are asked for.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    pub identity: &'a Identity,
    pub client_id: &'a ClientId,
}

#[cfg(test)]
mod tests;
