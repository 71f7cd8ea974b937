//! Room for what is seldom there.

/// A value that is its default most of the time, and then takes the room of a pointer: for what each of very many idle
/// connections or sessions would hold empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Rare<T> {
    /// `None` stands for the default.
    pub fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// The value, if it is not the default, and leaves that.
    pub fn take_some(&mut self) -> Option<Box<T>> {
        self.0.take()
    }

    /// It is the default again, and takes no more room than that.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

impl<T: Default> Rare<T> {
    /// The value, to be changed.
    pub fn edit(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// The value, and leaves the default.
    pub fn take(&mut self) -> T {
        self.take_some().map_or_else(T::default, |value| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_a_pointer_until_it_is_changed_and_after_it_is_taken() {
        let mut rare = Rare::<Vec<u8>>::default();
        assert_eq!((size_of_val(&rare), rare.get()), (8, None));
        assert!(rare.take().is_empty());
        rare.edit().push(1);
        assert_eq!(rare.get(), Some(&vec![1]));
        assert_eq!((rare.take(), rare.get()), (vec![1], None));
        rare.edit().push(2);
        rare.clear();
        assert_eq!(rare, Rare::default());
    }
}
