//! Small damage to good inputs, the same for the same seed.

pub struct Mutator {
    state: u64,
}

/// Numbers at which lengths go wrong.
const EDGES: [u8; 10] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x20, 0x10];
const EDGES_16: [u16; 8] = [0, 1, 0x7fff, 0x8000, 0xff, 0x100, 0xfffe, 0xffff];
/// Variable Byte Integers: the ends of each length, longer than need be, and without an end.
const VARINTS: [&[u8]; 10] = [
    &[0x7f],
    &[0x80, 1],
    &[0xff, 0x7f],
    &[0x80, 0x80, 1],
    &[0xff, 0xff, 0x7f],
    &[0x80, 0x80, 0x80, 1],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0x80, 0],
    &[0x80, 0x80, 0x80, 0],
    &[0xff, 0xff, 0xff, 0xff, 1],
];
/// Texts that are none, that may not be in a packet, or that mean something in a topic.
const TEXTS: [&[u8]; 14] = [
    b"\0",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xef\xbf\xbf",
    b"\xef\xbb\xbf",
    b"\xe2\x82",
    b"\xff",
    b"#",
    b"+",
    b"/",
    b"$share/g/",
    b"$SYS/",
    b"//////////",
];
/// Bytes of one input.
const INPUT_BYTES_MAX: usize = 1 << 16;

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    /// A number below `end`, which is above 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 16).expect("48 bits") % end
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of the inputs with one to eight mutations.
    pub fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(seeds).clone();
        for _ in 0..=self.below(8) {
            self.damage(&mut input, seeds);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    pub fn damage(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
        if input.is_empty() {
            input.push(*self.pick(&EDGES));
            return;
        }
        let at = self.below(input.len());
        match self.below(12) {
            0 => input[at] ^= 1 << self.below(8),
            1 => input[at] = *self.pick(&EDGES),
            2 => input.truncate(at),
            3 => input.insert(at, *self.pick(&EDGES)),
            4 => drop(input.drain(at..(at + 1 + self.below(4)).min(input.len()))),
            // A part comes again.
            5 => {
                let part = input[at..(at + 1 + self.below(16)).min(input.len())].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, part);
            }
            // The rest is another input's.
            6 => {
                let other = self.pick(others).clone();
                input.truncate(at);
                input.extend_from_slice(other.get(self.below(other.len() + 1)..).unwrap_or_default());
            }
            // Another input follows.
            7 => {
                let other = self.pick(others);
                input.extend_from_slice(other);
            }
            // A length, or what is taken for one, is a little wrong, or very.
            8 => self.damage_length(input, at),
            9 => self.put(input, at, VARINTS[self.state as usize % VARINTS.len()]),
            10 => self.put(input, at, TEXTS[self.state as usize % TEXTS.len()]),
            _ => mend(input),
        }
        input.truncate(2 * INPUT_BYTES_MAX);
    }

    fn damage_length(&mut self, input: &mut [u8], at: usize) {
        let Some(place) = input.get_mut(at..at + 2) else { return };
        let length = u16::from_be_bytes([place[0], place[1]]);
        let wrong = match self.below(4) {
            0 => length.wrapping_add(1),
            1 => length.wrapping_sub(1),
            2 => length.rotate_left(1),
            _ => *self.pick(&EDGES_16),
        };
        place.copy_from_slice(&wrong.to_be_bytes());
    }

    /// Puts bytes in between, or in place of as many.
    fn put(&mut self, input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
        let end = if self.below(2) == 0 { at } else { (at + bytes.len()).min(input.len()) };
        input.splice(at..end, bytes.iter().copied());
    }
}

/// Makes the Remaining Length of the input, taken for one packet, fit, so that damage within it is met.
pub fn mend(input: &mut Vec<u8>) {
    let header = 1 + input.iter().skip(1).take(3).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    if input.len() <= header {
        return;
    }
    let (mut rest, mut length) = (input.len() - header, Vec::new());
    loop {
        let low = u8::try_from(rest & 0x7f).expect("seven bits");
        rest >>= 7;
        length.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    input.splice(1..header, length);
}
