//! The client's side of WebSocket (RFC 6455), as far as the cases need it, by hand: what the broker does is not judged
//! by the library it does it with.

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A connection's WebSocket, from the request on.
#[derive(Default)]
pub struct WebSocket {
    /// What has come and is not whole.
    raw: Vec<u8>,
    is_open: bool,
    /// The subprotocol that was selected.
    pub protocol: Option<String>,
    pub is_closed: bool,
}

pub fn request(offer: &str) -> Vec<u8> {
    format!(
        "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Protocol: {offer}\r\n\r\n"
    )
    .into_bytes()
}

/// A whole masked frame.
pub fn frame(is_text: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | if is_text { 1 } else { BINARY }];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(0x80 | length),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).expect("the cases' frames are short").to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

impl WebSocket {
    /// The payloads of the binary frames that are whole now.
    pub fn take(&mut self, received: &[u8]) -> Vec<u8> {
        self.raw.extend_from_slice(received);
        if !self.is_open {
            let Some(end) = self.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Vec::new() };
            let answer = String::from_utf8_lossy(&self.raw[..end]).into_owned();
            self.raw.drain(..end + 4);
            self.is_open = answer.starts_with("HTTP/1.1 101");
            let header = |line: &str| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("sec-websocket-protocol").then(|| value.trim().to_owned())
            };
            self.protocol = answer.lines().find_map(header);
        }
        let mut payloads = Vec::new();
        while let Some((kind, payload)) = self.cut() {
            match kind {
                BINARY | 0 => payloads.extend(payload),
                CLOSE => self.is_closed = true,
                _ => {}
            }
        }
        payloads
    }

    /// The next frame, which a server does not mask.
    fn cut(&mut self) -> Option<(u8, Vec<u8>)> {
        let (&first, &second) = (self.raw.first()?, self.raw.get(1)?);
        let (begin, length) = match second {
            126 => (4, usize::from(u16::from_be_bytes([*self.raw.get(2)?, *self.raw.get(3)?]))),
            127 => panic!("no answer is that long"),
            length => (2, usize::from(length)),
        };
        let payload = self.raw.get(begin..begin + length)?.to_vec();
        self.raw.drain(..begin + length);
        Some((first & 0x0f, payload))
    }
}
