//! Those who have much to say to one client, one for each room at most, and wait until there is room.

use std::task::Waker;

/// Each has a number, which tells it from those that wait for the same task.
#[derive(Debug, Default)]
pub(crate) struct Speakers {
    waiting: Vec<(u32, Waker)>,
    last: u32,
}

impl Speakers {
    pub(crate) fn number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    pub(crate) fn wait(&mut self, speaker: u32, waker: &Waker) {
        match self.waiting.iter_mut().find(|(number, _)| *number == speaker) {
            Some((_, waiting)) => waiting.clone_from(waker),
            None => self.waiting.push((speaker, waker.clone())),
        }
    }

    pub(crate) fn leave(&mut self, speaker: u32) {
        self.waiting.retain(|(number, _)| *number != speaker);
    }

    pub(crate) fn wake(&mut self) {
        self.waiting.drain(..).for_each(|(_, waker)| waker.wake());
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
