//! What must survive a crash (floor 2): the delivery log, and the engines built over it.
pub mod log;
