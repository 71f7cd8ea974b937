//! Packets a broker sends, taken apart just far enough for the checks. Independent of the codec under test on purpose.

/// One packet off the wire. Fields a packet of its type does not have stay empty.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    pub kind: &'static str,
    pub raw: Vec<u8>,
    /// The body does not hold what its type promises; such a packet matches nothing.
    pub malformed: bool,
    pub session_present: Option<u8>,
    pub codes: Vec<u8>,
    pub id: Option<u16>,
    pub topic: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub qos: Option<u8>,
    pub retain: Option<u8>,
    pub dup: Option<u8>,
    pub properties: Vec<(u8, Vec<u8>)>,
}

impl Packet {
    /// Values of a property as hex digits, in the order they came.
    pub fn property(&self, id: u8) -> Vec<String> {
        self.properties.iter().filter(|(key, _)| *key == id).map(|(_, value)| to_hex(value)).collect()
    }

    pub fn has_property(&self, id: u8) -> bool {
        self.properties.iter().any(|(key, _)| *key == id)
    }

    pub fn brief(&self) -> String {
        let shown = &self.raw[..self.raw.len().min(40)];
        format!("{} {}{}", self.kind, to_hex(shown), if shown.len() < self.raw.len() { ".." } else { "" })
    }
}

pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes the first whole packet off the buffer. `None`: more bytes are needed.
pub fn cut(buffer: &mut Vec<u8>, version_5: bool) -> Option<Packet> {
    let (length, start) = variable_byte_integer(buffer.get(1..)?)?;
    let start = start + 1;
    if buffer.len() < start + length {
        return None;
    }
    let raw: Vec<u8> = buffer.drain(..start + length).collect();
    let first = raw[0];
    let mut packet = Packet { kind: kind(first >> 4), ..Packet::default() };
    packet.malformed = read_body(&mut packet, first, Reader { rest: &raw[start..] }, version_5).is_none();
    packet.raw = raw;
    Some(packet)
}

fn kind(number: u8) -> &'static str {
    match number {
        2 => "CONNACK",
        3 => "PUBLISH",
        4 => "PUBACK",
        5 => "PUBREC",
        6 => "PUBREL",
        7 => "PUBCOMP",
        9 => "SUBACK",
        11 => "UNSUBACK",
        13 => "PINGRESP",
        14 => "DISCONNECT",
        15 => "AUTH",
        _ => "a packet no broker sends",
    }
}

fn read_body(packet: &mut Packet, first: u8, mut body: Reader, version_5: bool) -> Option<()> {
    match packet.kind {
        "CONNACK" => {
            packet.session_present = Some(body.byte()? & 1);
            packet.codes = vec![body.byte()?];
            packet.properties = body.optional_properties(version_5)?;
        }
        "PUBLISH" => read_publish(packet, first, body, version_5)?,
        "PUBACK" | "PUBREC" | "PUBREL" | "PUBCOMP" => {
            packet.id = Some(body.two_bytes()?);
            packet.codes = vec![body.byte().unwrap_or(0)];
            packet.properties = body.optional_properties(version_5)?;
        }
        "SUBACK" | "UNSUBACK" => {
            packet.id = Some(body.two_bytes()?);
            if version_5 {
                packet.properties = body.properties()?;
            }
            packet.codes = body.rest.to_vec();
        }
        "DISCONNECT" | "AUTH" => {
            packet.codes = vec![body.byte().unwrap_or(0)];
            packet.properties = body.optional_properties(version_5)?;
        }
        _ => {}
    }
    Some(())
}

fn read_publish(packet: &mut Packet, first: u8, mut body: Reader, version_5: bool) -> Option<()> {
    let qos = first >> 1 & 3;
    packet.topic = Some(body.prefixed()?.to_vec());
    (packet.qos, packet.retain, packet.dup) = (Some(qos), Some(first & 1), Some(first >> 3 & 1));
    if qos > 0 {
        packet.id = Some(body.two_bytes()?);
    }
    if version_5 {
        packet.properties = body.properties()?;
    }
    packet.payload = Some(body.rest.to_vec());
    Some(())
}

/// Value and size; `None` if the bytes end before it does.
fn variable_byte_integer(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn two_bytes(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    fn prefixed(&mut self) -> Option<&'a [u8]> {
        let length = self.two_bytes()?;
        self.take(length.into())
    }

    /// Packets that may end before their properties.
    fn optional_properties(&mut self, version_5: bool) -> Option<Vec<(u8, Vec<u8>)>> {
        if version_5 && !self.rest.is_empty() { self.properties() } else { Some(Vec::new()) }
    }

    fn properties(&mut self) -> Option<Vec<(u8, Vec<u8>)>> {
        let (length, size) = variable_byte_integer(self.rest)?;
        self.take(size)?;
        let mut block = Reader { rest: self.take(length)? };
        let mut found = Vec::new();
        while let Some(id) = block.byte() {
            let before = block.rest;
            block.skip_value(id)?;
            found.push((id, before[..before.len() - block.rest.len()].to_vec()));
        }
        Some(found)
    }

    fn skip_value(&mut self, id: u8) -> Option<()> {
        match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2a => self.byte().map(drop),
            0x13 | 0x21..=0x23 => self.two_bytes().map(drop),
            0x02 | 0x11 | 0x18 | 0x27 => self.take(4).map(drop),
            0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => self.prefixed().map(drop),
            0x26 => self.prefixed().and_then(|_| self.prefixed()).map(drop),
            0x0b => {
                let (_, size) = variable_byte_integer(self.rest)?;
                self.take(size).map(drop)
            }
            _ => None,
        }
    }
}
