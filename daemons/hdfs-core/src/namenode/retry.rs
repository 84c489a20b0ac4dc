//! Answers to calls that must happen at most once. A client that repeats such a call (same client
//! id, same call id) gets the first answer again and nothing happens twice.

use std::collections::{HashMap, VecDeque};

use hdfs_disk::edits::RpcIds;

use super::{Caller, Namenode};
use crate::Millis;

/// Bytes of a client id.
const CLIENT_ID: usize = 16;

type Key = ([u8; CLIENT_ID], i32);

/// What a remembered call answered; large answers are built again from what they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing, or true.
    Done,
    /// The status of this file.
    File(u64),
}

/// The remembered calls, oldest first in `order`.
#[derive(Debug, Default)]
pub(crate) struct RetryCache {
    answers: HashMap<Key, Answer>,
    order: VecDeque<(Millis, Key)>,
}

impl RetryCache {
    fn key(client_id: &[u8], call_id: i32) -> Option<Key> {
        // Negative call ids are not calls (pings, contexts); Java does not remember them either.
        Some((client_id.try_into().ok()?, (call_id >= 0).then_some(call_id)?))
    }

    pub(crate) fn get(&self, client_id: &[u8], call_id: i32) -> Option<&Answer> {
        self.answers.get(&Self::key(client_id, call_id)?)
    }

    /// Remembers an answer; the oldest is forgotten when there are more than `limit`.
    pub(crate) fn insert(&mut self, rpc: &RpcIds, answer: Answer, now: Millis, limit: usize) {
        let Some(client_id) = rpc.client_id else { return };
        let Some(key) = Self::key(&client_id, rpc.call_id) else { return };
        if self.answers.insert(key, answer).is_none() {
            self.order.push_back((now, key));
        }
        while self.order.len() > limit {
            self.forget_oldest();
        }
    }

    /// Forgets what was remembered before `before`.
    pub(crate) fn expire(&mut self, before: Millis) {
        while self.order.front().is_some_and(|&(time, _)| time < before) {
            self.forget_oldest();
        }
    }

    /// Everything counts as remembered at `now`: after a start all clocks begin anew.
    pub(crate) fn restart(&mut self, now: Millis) {
        for (time, _) in &mut self.order {
            *time = now;
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.order.pop_front() {
            self.answers.remove(&key);
        }
    }
}

impl Namenode {
    /// The answer to a call that was already carried out.
    pub(crate) fn repeated(&self, caller: &Caller<'_>) -> Option<Answer> {
        self.retry.get(caller.client_id, caller.call_id).cloned()
    }

    /// The ids under which a call of this caller is logged and remembered.
    pub(crate) fn rpc_ids(caller: &Caller<'_>) -> RpcIds {
        RpcIds::new(caller.client_id, caller.call_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_until_time_or_room_runs_out() {
        let mut cache = RetryCache::default();
        let client = [7; CLIENT_ID];
        for call in 0..5 {
            cache.insert(&RpcIds::new(&client, call), Answer::Done, 100 + call as u64, 3);
        }
        assert_eq!(cache.get(&client, 1), None);
        assert_eq!(cache.get(&client, 2), Some(&Answer::Done));
        cache.expire(104);
        assert_eq!(cache.get(&client, 3), None);
        assert_eq!(cache.get(&client, 4), Some(&Answer::Done));
        assert_eq!(cache.get(&[], 4), None);
        cache.insert(&RpcIds::NONE, Answer::Done, 200, 3);
        assert_eq!(cache.order.len(), 1);
    }
}
