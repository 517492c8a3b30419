//! Who is served next: higher priority first, and within a priority whoever was served least.
//!
//! Requests of one flow (a user, or an adapter) wait in the order of their arrival. Flows share the
//! engine by the virtual token counters of Sheng et al., "Fairness in Serving Large Language Models"
//! (OSDI 2024): each flow's counter grows by the tokens that it was served, and the flow with the
//! smallest counter goes next. A flow that comes back from idling begins at the floor, so that time
//! spent idle earns no claim.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::sequence::Sequence;

/// What a generated token counts, beside 1 for a token of a prompt: the weights of the paper.
const GENERATED_WEIGHT: u64 = 2;

/// Flows that are remembered while they have nothing waiting: names come from outside.
const MOST_FLOWS: usize = 1024;

/// Priority (lower is served first) and order of arrival.
type Rank = (i32, u64);

#[derive(Debug)]
struct Flow {
    /// Weighted tokens served.
    served: u64,
    waiting: BTreeMap<Rank, Sequence>,
}

/// Sequences that do not run: new ones, and those that had to make room.
#[derive(Debug, Default)]
pub(crate) struct WaitingQueue {
    flows: HashMap<Arc<str>, Flow>,
    /// The counter of the flow that was served last; new flows begin here.
    floor: u64,
    length: usize,
}

impl WaitingQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Takes a sequence in at the place that its priority, flow and arrival give it.
    pub(crate) fn push(&mut self, sequence: Sequence) {
        let floor = self.floor;
        let flow = self.flow(&sequence);
        if flow.waiting.is_empty() {
            flow.served = flow.served.max(floor);
        }
        flow.waiting.insert(sequence.rank(), sequence);
        self.length += 1;
    }

    /// The sequence that is served next, which stays in the queue.
    pub(crate) fn peek(&self) -> Option<&Sequence> {
        let name = self.next()?;
        self.flows.get(name)?.waiting.values().next()
    }

    /// Takes the sequence that is served next.
    pub(crate) fn pop(&mut self) -> Option<Sequence> {
        let name = Arc::clone(self.next()?);
        let flow = self.flows.get_mut(&name)?;
        let (_, sequence) = flow.waiting.pop_first()?;
        self.floor = self.floor.max(flow.served);
        self.length -= 1;
        if self.flows.len() > MOST_FLOWS {
            // Those that are forgotten begin at the floor when they come back.
            self.flows.retain(|_, flow| !flow.waiting.is_empty());
        }
        Some(sequence)
    }

    /// Counts tokens as served: `prompt` tokens computed and `generated` tokens.
    pub(crate) fn charge(&mut self, sequence: &Sequence, prompt: usize, generated: usize) {
        let tokens = prompt as u64 + GENERATED_WEIGHT * generated as u64;
        self.flow(sequence).served += tokens;
    }

    /// Takes out all whose callers went away.
    pub(crate) fn take_abandoned(&mut self) -> usize {
        if self.is_empty() {
            return 0;
        }
        let before = self.length;
        for flow in self.flows.values_mut() {
            flow.waiting.retain(|_, sequence| !sequence.is_abandoned());
        }
        self.length = self.flows.values().map(|flow| flow.waiting.len()).sum();
        before - self.length
    }

    fn flow(&mut self, sequence: &Sequence) -> &mut Flow {
        let new = || Flow { served: self.floor, waiting: BTreeMap::new() };
        self.flows.entry(Arc::clone(&sequence.admitted.request.flow)).or_insert_with(new)
    }

    fn next(&self) -> Option<&Arc<str>> {
        let fronts = self.flows.iter().filter_map(|(name, flow)| {
            let (&(priority, ticket), _) = flow.waiting.first_key_value()?;
            Some(((priority, flow.served, ticket), name))
        });
        fronts.min().map(|(_, name)| name)
    }
}
