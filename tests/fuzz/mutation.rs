//! Small damage to good inputs, the same for the same seed.

pub struct Mutator {
    state: u64,
}

/// Numbers at which lengths go wrong.
const EDGES: [u8; 10] = [0, 1, 2, 0x7f, 0x80, 0x81, 0xfe, 0xff, 0x20, 0x10];

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

    /// One of the inputs with one to eight mutations.
    pub fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(8) {
            self.damage(&mut input, seeds);
        }
        input.truncate(1 << 16);
        input
    }

    fn damage(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        if input.is_empty() {
            input.push(EDGES[self.below(EDGES.len())]);
            return;
        }
        let at = self.below(input.len());
        match self.below(8) {
            0 => input[at] ^= 1 << self.below(8),
            1 => input[at] = EDGES[self.below(EDGES.len())],
            2 => input.truncate(at),
            3 => {
                input.insert(at, EDGES[self.below(EDGES.len())]);
            }
            4 => {
                input.remove(at);
            }
            // A part comes again.
            5 => {
                let part = input[at..(at + 1 + self.below(16)).min(input.len())].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, part);
            }
            // The rest is another input's.
            6 => {
                let other = &seeds[self.below(seeds.len())];
                input.truncate(at);
                input.extend_from_slice(&other[self.below(other.len())..]);
            }
            // Another input follows.
            _ => {
                let other = self.below(seeds.len());
                input.extend_from_slice(&seeds[other]);
            }
        }
    }
}
