//! Values in numbered places, freed places first to be used again.

/// A growing table with holes.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    pub(crate) fn insert(&mut self, value: T) -> u64 {
        if let Some(index) = self.free.pop() {
            self.places[index as usize] = value;
            return u64::from(index);
        }
        self.places.push(value);
        self.places.len() as u64 - 1
    }

    pub(crate) fn get(&self, index: u64) -> &T {
        &self.places[index as usize]
    }

    pub(crate) fn get_mut(&mut self, index: u64) -> &mut T {
        &mut self.places[index as usize]
    }

    pub(crate) fn remove(&mut self, index: u64) -> T {
        self.free.push(index as u32);
        std::mem::take(&mut self.places[index as usize])
    }

    /// Every place, free ones as the default value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter()
    }

    /// Bytes of the table itself.
    pub(crate) fn memory(&self) -> usize {
        self.places.capacity() * size_of::<T>() + self.free.capacity() * 4
    }
}
