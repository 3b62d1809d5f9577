//! One choice among candidates, as a pure function.

use std::sync::Arc;

use cereus_crds::{Policy, Routing, Zone};
use rand::Rng;
use smallvec::SmallVec;

use super::{
    candidate::{Candidate, Question},
    hash::rendezvous_score,
};

/// Under the policy `hash` a server is passed over while it has more than 1.25 times the mean of pending calls …
const BOUND_NUMERATOR: usize = 5;
/// (the 4 of 5/4)
const BOUND_DENOMINATOR: usize = 4;
/// … and at least this many. A handful of calls is no load; without a floor, one busy room among idle ones would be torn
/// from its server.
const BOUND_FLOOR: usize = 16;

/// A policy in code: which of the candidates to take, or None to refuse the message. It is called on the path of messages,
/// so it must not block.
pub type RoutingFunction =
    dyn for<'a, 'b> Fn(&Question<'_>, &'a [Candidate<'b>]) -> Option<&'a Candidate<'b>> + Send + Sync;

/// Indices of candidates; this many fit without an allocation.
type Indices = SmallVec<[usize; 32]>;

/// Choose a candidate by the settings of its type and return its index; None only when there is no candidate.
///
/// Only the best tier there is counts. The policies treat it as follows:
/// - all but `hash` take linked servers before those that have to be connected, and then, with `zone: prefer`, those of
///   the caller's zone, while there are any;
/// - `leastPending`: of two random servers the one with fewer pending calls. `sticky` makes its first choice like that;
///   keeping it is the caller's part;
/// - `random`: any, with equal probability;
/// - `roundRobin`: the next after the last; `turn` is the caller's count of choices;
/// - `hash`: the owner of `key` by [`rendezvous_score`], unless it has more than 1.25 times the mean of pending calls (and
///   more than a handful): then the next owner that has not. Without a key it is as leastPending. Links and zones do not
///   matter, since every caller must come to the same server.
pub fn choose(
    candidates: &[Candidate<'_>],
    routing: &Routing,
    key: Option<u64>,
    turn: &mut usize,
    random: &mut impl Rng,
) -> Option<usize> {
    match (routing.policy, key) {
        (Policy::Hash, Some(key)) => owner(candidates, key),
        (Policy::LeastPending | Policy::Sticky | Policy::Hash, _) => {
            let among = eligible(candidates, routing.zone);
            least_pending(candidates, &among, random)
        }
        (Policy::Random, _) => {
            let among = eligible(candidates, routing.zone);
            at(&among, random.random_range(0..among.len().max(1)))
        }
        (Policy::RoundRobin, _) => {
            let among = eligible(candidates, routing.zone);
            let index = at(&among, turn.checked_rem(among.len())?);
            *turn = turn.wrapping_add(1);
            index
        }
    }
}

/// Let a function in code choose. It sees the candidates of the best tier only; what is returned is an index into
/// `candidates`. None when the function refuses or there is no candidate.
pub fn ask(function: &RoutingFunction, question: &Question<'_>, candidates: &[Candidate<'_>]) -> Option<usize> {
    let best = candidates.iter().map(|candidate| candidate.tier).min()?;
    let shown: SmallVec<[Candidate<'_>; 16]> =
        candidates.iter().filter(|candidate| candidate.tier == best).copied().collect();
    let chosen = function(question, &shown)?.server;
    candidates.iter().position(|candidate| Arc::ptr_eq(candidate.server, chosen))
}

/// Those of the best tier; of them the linked ones, if any; of them, with `zone: prefer`, those in the zone, if any.
fn eligible(candidates: &[Candidate<'_>], zone: Zone) -> Indices {
    let is_far = |candidate: &Candidate<'_>| zone == Zone::Prefer && !candidate.is_same_zone;
    let rank = |candidate: &Candidate<'_>| (candidate.tier, !candidate.is_linked, is_far(candidate));
    match candidates.iter().map(rank).min() {
        Some(best) => matching(candidates, |candidate| rank(candidate) == best),
        None => Indices::new(),
    }
}

fn matching(candidates: &[Candidate<'_>], is_match: impl Fn(&Candidate<'_>) -> bool) -> Indices {
    let matching = candidates.iter().enumerate().filter(|(_, candidate)| is_match(candidate));
    matching.map(|(index, _)| index).collect()
}

fn at(among: &[usize], place: usize) -> Option<usize> {
    among.get(place).copied()
}

/// The better of two random ones. Of equals the first drawn, so that they share.
fn least_pending(candidates: &[Candidate<'_>], among: &[usize], random: &mut impl Rng) -> Option<usize> {
    if among.len() < 2 {
        return at(among, 0);
    }
    let first = random.random_range(0..among.len());
    // One of the others: the places after the first, and round to the beginning.
    let second = (first + random.random_range(1..among.len())) % among.len();
    let (first, second) = (at(among, first)?, at(among, second)?);
    let pending = |index: usize| candidates.get(index).map(|candidate| candidate.pending);
    Some(if pending(second) < pending(first) { second } else { first })
}

/// The owner of a key within the best tier, or the next owner that is not overloaded.
fn owner(candidates: &[Candidate<'_>], key: u64) -> Option<usize> {
    let best = candidates.iter().map(|candidate| candidate.tier).min()?;
    let tier = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.tier == best);
    let count = tier().count();
    // With the call that is to be placed now.
    let total = 1 + tier().map(|(_, candidate)| candidate.pending).sum::<usize>();
    let bound = (total * BOUND_NUMERATOR).div_ceil(count * BOUND_DENOMINATOR).max(BOUND_FLOOR);
    // Somebody has at most the mean, which is under the bound, so the first part finds an owner.
    let owner = tier().max_by_key(|(_, candidate)| {
        let score = rendezvous_score(key, &candidate.server.id);
        (candidate.pending < bound, score, &candidate.server.id)
    });
    owner.map(|(index, _)| index)
}
