//! Where the deliveries of a line are: found by position, whatever lies between them.
use super::{Entry, Outbound};

impl Outbound {
    /// Makes the next delivery stand at `position`, those before being finished.
    pub(super) fn pad(&mut self, position: u64) {
        self.loaded_end = self.loaded_end.max(position);
        if self.entries.is_empty() {
            self.base = self.loaded_end;
            self.cursor = self.base;
        }
    }

    /// Appends an entry at `position`, which is not below the end.
    pub(super) fn append(&mut self, position: u64, entry: Entry) {
        self.pad(position);
        self.entries.push_back((position, entry));
        self.loaded_end = position + 1;
    }

    pub(super) fn trim(&mut self) {
        while self.entries.pop_front_if(|(_, entry)| matches!(entry, Entry::Done)).is_some() {}
        self.base = self.entries.front().map_or(self.loaded_end, |(position, _)| *position);
        self.cursor = self.cursor.max(self.base);
        self.sendings.forget_below(self.base);
        // A line that was long once does not keep its room for ever.
        if self.entries.is_empty() && self.entries.capacity() > 4096 {
            self.entries.shrink_to(64);
        }
    }

    /// The first entry from `position` on.
    pub(super) fn entry_from(&self, position: u64) -> Option<u64> {
        let place = self.entries.partition_point(|(at, _)| *at < position);
        self.entries.get(place).map(|(at, _)| *at)
    }

    /// The same, or the end.
    pub(super) fn next_from(&self, position: u64) -> u64 {
        self.entry_from(position).unwrap_or(self.loaded_end)
    }

    pub(super) fn place_of(&self, position: u64) -> Option<usize> {
        let last = self.entries.len().checked_sub(1)?;
        // Without gaps it is where it would be by its number; with gaps it is before.
        let place = usize::try_from(position.checked_sub(self.base)?).unwrap_or(last).min(last);
        if self.entries.get(place).is_some_and(|(at, _)| *at == position) {
            return Some(place);
        }
        self.entries.binary_search_by_key(&position, |(at, _)| *at).ok()
    }

    pub(super) fn entry(&self, position: u64) -> Option<&Entry> {
        self.entries.get(self.place_of(position)?).map(|(_, entry)| entry)
    }

    pub(super) fn entry_mut(&mut self, position: u64) -> Option<&mut Entry> {
        let place = self.place_of(position)?;
        self.entries.get_mut(place).map(|(_, entry)| entry)
    }
}
