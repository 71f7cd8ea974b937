//! What happens to a broker with a few clients, as bytes that can be mutated: the broker's kind in the first byte, then
//! steps, each with one byte for client and kind, two for a length, and as many bytes.
use crate::mutation::{Mutator, mend};
use crate::wire;

pub const CLIENTS: usize = 4;
/// Steps of one script.
const STEPS_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The client sends; where it has no connection, it makes one.
    Send,
    /// It takes what there is for it.
    Take,
    /// Its connection looks into its mailbox, and the client takes nothing.
    Glance,
    /// Its connection breaks.
    Cut,
    /// As many seconds pass as the length says.
    Pass,
    /// The store makes durable what waits, and reads what is wanted.
    Commit,
    /// The store takes over the oldest part of its log.
    Checkpoint,
    /// The broker is killed and started again.
    Restart,
}

const KINDS: [Kind; 8] =
    [Kind::Send, Kind::Take, Kind::Glance, Kind::Cut, Kind::Pass, Kind::Commit, Kind::Checkpoint, Kind::Restart];

#[derive(Debug, Clone)]
pub struct Step {
    pub client: usize,
    pub kind: Kind,
    pub length: u16,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Script {
    pub broker: u8,
    pub steps: Vec<Step>,
}

impl Step {
    fn new(client: usize, kind: Kind, bytes: Vec<u8>) -> Self {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        Self { client, kind, length, bytes }
    }
}

impl Script {
    /// Every sequence of bytes is a script.
    pub fn read(input: &[u8]) -> Self {
        let Some((broker, mut rest)) = input.split_first() else { return Self { broker: 0, steps: Vec::new() } };
        let mut steps = Vec::new();
        while let [head, high, low, tail @ ..] = rest
            && steps.len() < STEPS_MAX
        {
            let length = u16::from_be_bytes([*high, *low]);
            let kind = KINDS[usize::from(head >> 2) % KINDS.len()];
            let taken = if kind == Kind::Send { tail.len().min(length.into()) } else { 0 };
            let (bytes, tail) = tail.split_at(taken);
            steps.push(Step { client: usize::from(head & 3), kind, length, bytes: bytes.to_vec() });
            rest = tail;
        }
        Self { broker: *broker, steps }
    }

    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![self.broker];
        for step in &self.steps {
            let kind = KINDS.iter().position(|kind| *kind == step.kind).expect("every kind is listed");
            out.push(u8::try_from(kind << 2 | step.client).expect("three bits and two"));
            let length = if step.kind == Kind::Send { step.bytes.len() } else { step.length.into() };
            out.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(&step.bytes);
        }
        out
    }
}

/// The wire cases as scripts: after each packet the client takes what is there.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, case) in wire::cases().into_iter().enumerate() {
        let mut links: Vec<String> = Vec::new();
        let mut steps = Vec::new();
        for sent in case {
            let place = links.iter().position(|link| *link == sent.link).unwrap_or_else(|| {
                links.push(sent.link.clone());
                links.len() - 1
            });
            let client = place % CLIENTS;
            steps.push(Step::new(client, Kind::Send, sent.bytes));
            steps.extend([Step::new(client, Kind::Commit, Vec::new()), Step::new(client, Kind::Take, Vec::new())]);
        }
        seeds.push(Script { broker: u8::try_from(number % 256).expect("below 256"), steps }.write());
    }
    seeds
}

/// Mutates steps, bytes within them, and now and then the whole.
pub fn mutate(mutator: &mut Mutator, seeds: &[Vec<u8>]) -> Vec<u8> {
    if mutator.below(50) == 0 {
        return mutator.mutate(seeds);
    }
    let mut script = Script::read(mutator.pick::<Vec<u8>>(seeds));
    // Most of what there is to find takes more than one good conversation.
    for _ in 0..mutator.below(4) {
        splice(mutator, &mut script, seeds);
    }
    for _ in 0..=mutator.below(8) {
        change(mutator, &mut script);
    }
    script.steps.truncate(STEPS_MAX);
    script.write()
}

/// Puts another script's steps in between, as they are or of other clients.
fn splice(mutator: &mut Mutator, script: &mut Script, seeds: &[Vec<u8>]) {
    let other = Script::read(mutator.pick::<Vec<u8>>(seeds));
    let turn = mutator.below(CLIENTS);
    let mut at = mutator.below(script.steps.len() + 1);
    let is_woven = mutator.below(2) == 0;
    for mut step in other.steps {
        step.client = (step.client + turn) % CLIENTS;
        script.steps.insert(at.min(script.steps.len()), step);
        at += if is_woven { 1 + mutator.below(3) } else { 1 };
    }
}

fn change(mutator: &mut Mutator, script: &mut Script) {
    if script.steps.is_empty() || mutator.below(20) == 0 {
        script.broker = u8::try_from(mutator.below(256)).expect("below 256");
        return;
    }
    let at = mutator.below(script.steps.len());
    match mutator.below(10) {
        0 => drop(script.steps.remove(at)),
        1 => {
            let again = script.steps[at].clone();
            let to = mutator.below(script.steps.len() + 1);
            (0..=mutator.below(6)).for_each(|_| script.steps.insert(to, again.clone()));
        }
        2 => {
            let other = mutator.below(script.steps.len());
            script.steps.swap(at, other);
        }
        3 | 4 => {
            let length = [0, 1, 2, 60, 99, 101, 3600, 7200, u16::MAX][mutator.below(9)];
            let step = Step { client: mutator.below(CLIENTS), kind: *mutator.pick(&KINDS), length, bytes: Vec::new() };
            script.steps.insert(at, step);
        }
        5 => script.steps[at].client = mutator.below(CLIENTS),
        6 => split(mutator, script, at),
        _ => {
            let others: Vec<_> = script.steps.iter().map(|step| step.bytes.clone()).collect();
            let bytes = &mut script.steps[at].bytes;
            mutator.damage(bytes, &others);
            if mutator.below(2) == 0 {
                mend(bytes);
            }
        }
    }
}

/// What was sent at once comes in two parts, with something in between.
fn split(mutator: &mut Mutator, script: &mut Script, at: usize) {
    let Step { client, kind, ref bytes, .. } = script.steps[at];
    if kind != Kind::Send || bytes.len() < 2 {
        return;
    }
    let (first, second) = bytes.split_at(1 + mutator.below(bytes.len() - 1));
    let parts = [first, second].map(|part| Step::new(client, Kind::Send, part.to_vec()));
    script.steps.splice(at..=at, parts);
}
