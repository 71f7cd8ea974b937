//! Topics and filters as levels between slashes (section 4.7.1.1).

/// The first level, and what follows its slash; `None` is no further level, `Some` of nothing an empty one.
pub(super) fn split_level(levels: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = levels.splitn(2, |byte| *byte == b'/');
    (parts.next().unwrap_or_default(), parts.next())
}
