//! AUTH (5.0 section 3.15).
use super::Diagnostics;
use crate::types::{ReasonCode, Text};
use bytes::Bytes;

/// One step of an enhanced authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    pub code: ReasonCode,
    pub method: Option<Text>,
    pub data: Option<Bytes>,
    pub diagnostics: Option<Box<Diagnostics>>,
}
