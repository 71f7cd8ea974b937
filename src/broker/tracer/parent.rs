//! `traceparent`: the span that a publisher was in, as W3C Trace Context writes it.
use crate::codec::ForwardProperties;
use crate::types::Message;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub trace_id: u128,
    pub span_id: u64,
    pub is_sampled: bool,
}

const NAME: &str = "traceparent";

impl Parent {
    /// The parent that a message names. One that names two, or none that can be read, has none.
    pub fn of(message: &Message) -> Option<Self> {
        // Most have no properties at all, and few of the others this one: it is not parsed for nothing.
        if !message.forward.windows(NAME.len()).any(|part| part == NAME.as_bytes()) {
            return None;
        }
        let properties = ForwardProperties::parse(&message.forward).ok()?;
        let mut named = properties.user.iter().filter(|(name, _)| name.as_str() == NAME);
        let (_, value) = named.next()?;
        if named.next().is_some() { None } else { Self::parse(value.as_str()) }
    }

    fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split('-');
        let mut next = |length: usize| {
            let digits = |part: &&str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            parts.next().filter(|part| part.len() == length).filter(digits)
        };
        let (version, trace_id, span_id, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        // A later version may add parts; this one has none.
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let (trace_id, span_id) = (u128::from_str_radix(trace_id, 16).ok()?, u64::from_str_radix(span_id, 16).ok()?);
        let is_sampled = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, is_sampled })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_standard_allows_is_a_parent() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = Parent::parse(good).unwrap();
        assert_eq!(parent.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!((parent.span_id, parent.is_sampled), (0xb7ad_6b71_6920_3331, true));
        assert!(!Parent::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00").unwrap().is_sampled);
        assert!(Parent::parse("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more").is_some());
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033+1-01",
        ] {
            assert_eq!(Parent::parse(bad), None, "{bad}");
        }
    }
}
