//! The messages of SCRAM as text (RFC 5802 section 7). Reading them is all that happens here.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// More than any client uses; a longer one is not worth keeping.
const NONCE_BYTES_MAX: usize = 256;

/// client-first-message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// What was said about channel binding and another identity, comma included.
    pub header: &'a str,
    pub user: String,
    pub nonce: &'a str,
    /// Everything behind the header.
    pub bare: &'a str,
}

/// client-final-message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// The header again, in base64.
    pub binding: &'a str,
    pub nonce: &'a str,
    pub proof: Vec<u8>,
    /// Everything before the proof.
    pub without_proof: &'a str,
}

impl<'a> ClientFirst<'a> {
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let message = std::str::from_utf8(message).ok()?;
        let mut parts = message.splitn(3, ',');
        let (binding, identity, bare) = (parts.next()?, parts.next()?, parts.next()?);
        // `y` is a client that could bind to the channel and sees that this side cannot; `p` insists on it.
        if binding != "n" && binding != "y" {
            return None;
        }
        let header = message.get(..message.len() - bare.len())?;
        let mut attributes = bare.split(',');
        let user = unescape(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        // To act as somebody else is not offered.
        let acts_as = identity.strip_prefix("a=").map(unescape);
        let is_own = identity.is_empty() || acts_as == Some(Some(user.clone()));
        (is_own && is_nonce(nonce)).then_some(Self { header, user, nonce, bare })
    }
}

impl<'a> ClientFinal<'a> {
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let message = std::str::from_utf8(message).ok()?;
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next()?.strip_prefix("c=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        Some(Self { binding, nonce, proof: STANDARD.decode(proof).ok()?, without_proof })
    }
}

/// Printable ASCII without the comma.
fn is_nonce(text: &str) -> bool {
    let is_printable = |byte: u8| byte.is_ascii_graphic() && byte != b',';
    (1..=NONCE_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_printable)
}

/// `=2C` is a comma and `=3D` an equals sign; no other one may be there.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (letter, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (None, Some(rest)) => ('=', rest),
            (None, None) => return None,
        };
        name.push(letter);
        name.push_str(rest);
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_message_is_taken_apart() {
        let first = ClientFirst::parse(b"y,,n=a=2Cb=3Dc,r=xyz,e=1").expect("legal");
        assert_eq!((first.header, first.user.as_str(), first.nonce), ("y,,", "a,b=c", "xyz"));
        assert_eq!(first.bare, "n=a=2Cb=3Dc,r=xyz,e=1");
        assert_eq!(ClientFirst::parse(b"n,a=ann,n=ann,r=x").expect("legal").header, "n,a=ann,");
    }

    #[test]
    fn illegal_first_messages_are_refused() {
        let long = format!("n,,n=u,r={}", "x".repeat(257));
        let illegal: [&[u8]; 14] = [
            b"",
            b"n,,",
            b"n,,n=u",
            b"n,,r=x,n=u",
            b"n,,n=,r=x",
            b"n,,n=u,r=",
            b"n,,n=u,r=a b",
            b"n,,n=u=2cv,r=x",
            b"n,a=other,n=u,r=x",
            b"p=tls-unique,,n=u,r=x",
            b"x,,n=u,r=x",
            b"n,,m=1,n=u,r=x",
            b"n,,n=\xff,r=x",
            long.as_bytes(),
        ];
        for message in illegal {
            assert_eq!(ClientFirst::parse(message), None, "{}", String::from_utf8_lossy(message));
        }
    }

    #[test]
    fn a_final_message_is_taken_apart() {
        let last = ClientFinal::parse(b"c=biws,r=xyz,p=AAAA").expect("legal");
        assert_eq!((last.binding, last.nonce, last.without_proof), ("biws", "xyz", "c=biws,r=xyz"));
        assert_eq!(last.proof, [0; 3]);
        let illegal: [&[u8]; 6] =
            [b"", b"c=biws,r=x", b"r=x,c=biws,p=AAAA", b"c=biws,p=AAAA", b"c=biws,r=x,p=!", b"p=AA"];
        for message in illegal {
            assert_eq!(ClientFinal::parse(message), None);
        }
    }
}
