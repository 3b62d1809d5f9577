use std::sync::Arc;

use cereus_crds::{HashKey, Policy, Routing, Zone};
use proptest::{
    collection::vec,
    option,
    prelude::{Strategy, any},
    prop_assert, prop_assert_eq, proptest,
    sample::select,
};
use rand::{SeedableRng, rngs::StdRng};

use crate::router::{Candidate, LinkState, Question, Tier, ask, choose, hash, rendezvous_score, session_key};
use crate::topology::Server;

const POLICIES: [Policy; 5] = [Policy::LeastPending, Policy::Random, Policy::RoundRobin, Policy::Hash, Policy::Sticky];

fn server(id: &str) -> Arc<Server> {
    Arc::new(Server::new(id, "room", ([127, 0, 0, 1], 7000)))
}

fn servers(count: usize) -> Vec<Arc<Server>> {
    (0..count).map(|number| server(&format!("0f3a9c{number:02}-7b1e-4c55-9d0a-5e6f7a8b9c{number:02}"))).collect()
}

fn candidate(server: &Arc<Server>, pending: usize) -> Candidate<'_> {
    Candidate::new(server, LinkState::Live, pending, None).unwrap()
}

fn candidates(servers: &[Arc<Server>]) -> Vec<Candidate<'_>> {
    servers.iter().map(|server| candidate(server, 0)).collect()
}

fn routing(policy: Policy) -> Routing {
    Routing { policy, ..Routing::default() }
}

fn random() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// How often each candidate is chosen in `rounds` choices.
fn tally(candidates: &[Candidate<'_>], routing: &Routing, rounds: usize) -> Vec<usize> {
    let mut counts = vec![0; candidates.len()];
    let (mut turn, mut random) = (0, random());
    for round in 0..rounds {
        let key = hash(&round.to_le_bytes());
        counts[choose(candidates, routing, Some(key), &mut turn, &mut random).unwrap()] += 1;
    }
    counts
}

#[test]
fn the_tier_of_a_server_follows_its_conditions_and_its_link() {
    use LinkState::{Down, Draining, Live, Opening};
    // ready, serving, link, tier
    let table = [
        (true, true, Live, Some(Tier::Ready)),
        (true, true, Opening, Some(Tier::Ready)),
        (true, false, Live, Some(Tier::Ready)),
        (false, true, Live, Some(Tier::Serving)),
        (false, true, Opening, Some(Tier::Serving)),
        (false, false, Live, Some(Tier::Linked)),
        (false, false, Opening, None),
        (true, true, Down, Some(Tier::Unreachable)),
        (false, true, Down, Some(Tier::Unreachable)),
        (false, false, Down, None),
        (true, true, Draining, None),
        (false, true, Draining, None),
        (false, false, Draining, None),
    ];
    for (ready, serving, link, expected) in table {
        let server = Arc::new(Server { ready, serving, ..Server::clone(&server("a")) });
        let found = Candidate::new(&server, link, 0, None);
        assert_eq!(found.map(|candidate| candidate.tier), expected, "{ready} {serving} {link:?}");
    }
    assert!(Tier::Ready < Tier::Serving && Tier::Serving < Tier::Linked && Tier::Linked < Tier::Unreachable);
}

#[test]
fn a_zone_is_the_same_only_when_both_are_known() {
    let table = [(None, None, false), (Some("e"), None, false), (None, Some("e"), false), (Some("e"), Some("e"), true)];
    for (own, other, expected) in table {
        let server = Arc::new(Server { zone: other.map(Into::into), ..Server::clone(&server("a")) });
        let candidate = Candidate::new(&server, LinkState::Live, 0, own).unwrap();
        assert_eq!(candidate.is_same_zone, expected, "{own:?} {other:?}");
    }
}

#[test]
fn a_better_tier_is_taken_however_busy_it_is() {
    let servers = servers(4);
    let mut all = candidates(&servers);
    for (candidate, (tier, pending)) in
        all.iter_mut().zip([(Tier::Unreachable, 0), (Tier::Linked, 0), (Tier::Ready, 90), (Tier::Serving, 0)])
    {
        (candidate.tier, candidate.pending) = (tier, pending);
    }
    for policy in POLICIES {
        assert_eq!(tally(&all, &routing(policy), 50), [0, 0, 50, 0], "{policy:?}");
        // And one after the other, as the better ones leave.
        assert_eq!(tally(&[all[0], all[1], all[3]], &routing(policy), 50), [0, 0, 50], "{policy:?}");
        assert_eq!(tally(&all[..2], &routing(policy), 50), [0, 50], "{policy:?}");
        assert_eq!(tally(&all[..1], &routing(policy), 50), [50], "{policy:?}");
        assert_eq!(choose(&[], &routing(policy), Some(1), &mut 0, &mut random()), None, "{policy:?}");
    }
}

#[test]
fn an_unlinked_server_is_chosen_after_the_linked_ones_of_its_tier() {
    let servers = servers(3);
    let mut all = candidates(&servers);
    all[1].is_linked = false;
    all[2].tier = Tier::Serving;
    for policy in [Policy::LeastPending, Policy::Random, Policy::RoundRobin, Policy::Sticky] {
        assert_eq!(tally(&all, &routing(policy), 50), [50, 0, 0], "{policy:?}");
        assert_eq!(tally(&all[1..], &routing(policy), 50), [50, 0], "{policy:?}");
    }
    // A key's owner does not depend on who has a link already.
    let linked = candidates(&servers);
    for key in 0..100 {
        let chosen =
            |all: &[Candidate<'_>]| choose(&all[..2], &routing(Policy::Hash), Some(key), &mut 0, &mut random());
        assert_eq!(chosen(&all), chosen(&linked));
    }
}

#[test]
fn the_own_zone_is_preferred_where_it_is_asked_for() {
    let servers = servers(3);
    let mut all = candidates(&servers);
    all[2].is_same_zone = true;
    for policy in [Policy::LeastPending, Policy::Random, Policy::RoundRobin, Policy::Sticky] {
        let prefer = Routing { zone: Zone::Prefer, ..routing(policy) };
        assert_eq!(tally(&all, &prefer, 60), [0, 0, 60], "{policy:?}");
        assert!(tally(&all, &routing(policy), 60).iter().all(|count| *count > 0), "{policy:?}");
        // Others do when the zone has none.
        assert!(tally(&all[..2], &prefer, 60).iter().all(|count| *count > 0), "{policy:?}");
    }
    // Callers in different zones agree on the owner of a key.
    let prefer = Routing { zone: Zone::Prefer, ..routing(Policy::Hash) };
    assert_eq!(tally(&all, &prefer, 60), tally(&candidates(&servers), &prefer, 60));
}

#[test]
fn equals_share_alike() {
    let servers = servers(10);
    for policy in POLICIES {
        let counts = tally(&candidates(&servers), &routing(policy), 10_000);
        // 1000 each; the standard deviation of a fair choice is 30.
        assert!(counts.iter().all(|count| (880..=1120).contains(count)), "{policy:?} {counts:?}");
    }
}

#[test]
fn round_robin_takes_each_in_turn() {
    let servers = servers(3);
    let all = candidates(&servers);
    let mut turn = usize::MAX - 1;
    let mut next =
        |all: &[Candidate<'_>]| choose(all, &routing(Policy::RoundRobin), None, &mut turn, &mut random()).unwrap();
    let start = next(&all);
    assert_ne!(start, next(&all));
    // The count goes round at its end.
    assert_eq!([next(&all), next(&all), next(&all), next(&all)], [0, 1, 2, 0]);
}

#[test]
fn least_pending_takes_the_better_of_two() {
    let servers = servers(3);
    let all: Vec<_> = servers.iter().zip([5, 1, 9]).map(|(server, pending)| candidate(server, pending)).collect();
    for policy in [Policy::LeastPending, Policy::Sticky] {
        // The busiest never; the idlest in two of the three pairs.
        let counts = tally(&all, &routing(policy), 3000);
        assert_eq!(counts[2], 0, "{policy:?}");
        assert!((1900..=2100).contains(&counts[1]), "{policy:?} {counts:?}");
        assert_eq!(tally(&all[..2], &routing(policy), 50), [0, 50], "{policy:?}");
    }
}

#[test]
fn least_pending_spreads_better_than_random() {
    let servers = servers(30);
    let spread = |policy| {
        let mut all = candidates(&servers);
        let (mut turn, mut random) = (0, random());
        for _ in 0..6000 {
            let index = choose(&all, &routing(policy), None, &mut turn, &mut random).unwrap();
            all[index].pending += 1;
        }
        all.iter().map(|candidate| candidate.pending).max().unwrap() - 200
    };
    let (least_pending, random) = (spread(Policy::LeastPending), spread(Policy::Random));
    assert!(least_pending <= 4 && random > 15, "{least_pending} {random}");
}

/// The owner of each of 10 000 keys.
fn owners(servers: &[Arc<Server>]) -> Vec<&str> {
    let all = candidates(servers);
    let owner = |key: usize| {
        let key = hash(&key.to_le_bytes());
        choose(&all, &routing(Policy::Hash), Some(key), &mut 0, &mut random()).unwrap()
    };
    (0..10_000).map(|key| &*servers[owner(key)].id).collect()
}

#[test]
fn only_the_keys_of_the_server_that_comes_or_goes_move() {
    let servers = servers(10);
    let gone = &servers[4];
    let fewer: Vec<_> = servers.iter().filter(|server| server.id != gone.id).cloned().collect();
    let mut heirs = std::collections::HashMap::new();
    let mut moved = 0;
    for (before, after) in owners(&servers).into_iter().zip(owners(&fewer)) {
        if before == &*gone.id {
            moved += 1;
            *heirs.entry(after).or_insert(0) += 1;
        } else {
            assert_eq!(before, after);
        }
    }
    // A tenth of the keys, and each of the nine others inherits a ninth of it (about 111; standard deviation 10).
    assert!((900..=1100).contains(&moved), "{moved}");
    assert_eq!(heirs.len(), 9);
    assert!(heirs.values().all(|count| (75..=150).contains(count)), "{heirs:?}");
}

#[test]
fn the_order_of_candidates_does_not_move_keys() {
    let servers = servers(7);
    let reversed: Vec<_> = servers.iter().rev().cloned().collect();
    assert_eq!(owners(&servers), owners(&reversed));
}

#[test]
fn an_overloaded_owner_is_passed_over_and_the_next_is_stable() {
    let servers = servers(4);
    let chosen = |pending: [usize; 4], key| {
        let all: Vec<_> = servers.iter().zip(pending).map(|(server, pending)| candidate(server, pending)).collect();
        choose(&all, &routing(Policy::Hash), Some(key), &mut 0, &mut random()).unwrap()
    };
    for key in (0..50_u64).map(|key| hash(&key.to_le_bytes())) {
        let owner = chosen([0; 4], key);
        let alone = |load: usize, others: usize| {
            let mut pending = [others; 4];
            pending[owner] = load;
            pending
        };
        // A handful is no load, even when the others have none.
        assert_eq!(chosen(alone(15, 0), key), owner);
        assert_ne!(chosen(alone(16, 0), key), owner);
        // 124 of 124 + 3 × 100 and the new one: bound ⌈1.25 × 425 / 4⌉ = 133.
        assert_eq!(chosen(alone(124, 100), key), owner);
        // 160 of 160 + 300 and the new one: bound 145.
        let next = chosen(alone(160, 100), key);
        assert_ne!(next, owner);
        assert_eq!(chosen(alone(500, 100), key), next);
    }
}

/// Servers of different releases must agree on where a key lives.
#[test]
fn hashes_never_change() {
    assert_eq!(hash(b""), 0);
    assert_eq!(hash(b"room-1"), 0xE453_C2EF_EAAE_2D74);
    assert_eq!(hash(b"0f3a9c00-7b1e-4c55-9d0a-5e6f7a8b9c00"), 0xB097_89A8_E24E_59A1);
    assert_eq!(rendezvous_score(hash(b"room-1"), "a"), 0xA3F5_5DC2_5114_EEB4);
}

#[test]
fn the_key_is_what_the_settings_name_or_the_next_best() {
    let data = br#"{"room":"a\u0062","level":7,"guild":null,"gu\u0069ld2":{"x":[1]}}"#;
    let full = Question { session: Some(9), uid: Some("ada"), data, ..Question::default() };
    let unbound = Question { uid: None, ..full };
    let nobody = Question::default();
    let (uid, session) = (Some(hash(b"ada")), Some(hash(&9_i64.to_le_bytes())));
    let table = [
        ("uid", full, uid),
        ("uid", unbound, session),
        ("uid", Question { uid: Some(""), ..full }, session),
        ("uid", nobody, None),
        ("session", full, session),
        ("session", nobody, None),
        ("data:room", full, Some(hash(b"ab"))),
        ("data:level", full, Some(hash(b"7"))),
        ("data:guild2", full, Some(hash(br#"{"x":[1]}"#))),
        ("data:guild", full, uid),
        ("data:nothing", full, uid),
        ("data:nothing", unbound, session),
        ("data:room", Question { data: b"not JSON", ..full }, uid),
        ("data:room", nobody, None),
    ];
    for (key, question, expected) in table {
        let parsed: HashKey = key.parse().unwrap();
        assert_eq!(session_key(&parsed, &question), expected, "{key} {question:?}");
    }
}

fn last_of_two<'a, 'b>(question: &Question<'_>, shown: &'a [Candidate<'b>]) -> Option<&'a Candidate<'b>> {
    assert_eq!(question.route, "room.join");
    assert_eq!(shown.len(), 2);
    shown.last()
}

#[test]
fn a_function_sees_the_best_tier_and_its_answer_is_checked() {
    let servers = servers(4);
    let mut all = candidates(&servers);
    (all[0].tier, all[2].tier) = (Tier::Serving, Tier::Serving);
    let question = Question { route: "room.join", ..Question::default() };
    assert_eq!(ask(&last_of_two, &question, &all), Some(3));
    assert_eq!(ask(&last_of_two, &question, &[all[1], all[3]]), Some(1));
    assert_eq!(ask(&|_, _| None, &question, &all), None);
    // One that it was not offered.
    let other = &*Box::leak(Box::new(server("other")));
    let other = &*Box::leak(Box::new(Candidate { server: other, ..all[1] }));
    assert_eq!(ask(&|_, _| Some(other), &question, &all), None);
    assert_eq!(ask(&last_of_two, &question, &[]), None);
}

#[test]
fn a_function_reads_the_values_of_the_session() {
    let question = Question { data: br#"{"room":"lobby","level":3,"gone":null}"#, ..Question::default() };
    assert_eq!(question.value::<String>("room").as_deref(), Some("lobby"));
    assert_eq!(question.value::<u8>("level"), Some(3));
    assert_eq!(question.value::<u8>("room"), None, "it is of another type");
    assert_eq!(question.value::<Option<u8>>("gone"), None);
    assert_eq!(question.value::<u8>("none"), None);
    assert_eq!(Question::default().value::<u8>("level"), None, "there is no session");
}

proptest! {
    #[test]
    fn a_choice_is_made_whenever_there_is_one_and_in_the_best_tier(
        states in vec(
            (select(vec![Tier::Ready, Tier::Serving, Tier::Linked, Tier::Unreachable]), any::<bool>(), any::<bool>(), 0..100_usize),
            0..40,
        ),
        policy in select(POLICIES.to_vec()),
        zone in any::<bool>().prop_map(|prefer| if prefer { Zone::Prefer } else { Zone::Ignore }),
        key in option::of(any::<u64>()),
        mut turn in any::<usize>(),
        seed in any::<u64>(),
    ) {
        let servers: Vec<_> = (0..states.len()).map(|number| server(&number.to_string())).collect();
        let all: Vec<_> = servers.iter().zip(&states).map(|(server, (tier, is_linked, is_same_zone, pending))| Candidate {
            server, tier: *tier, is_linked: *is_linked, is_same_zone: *is_same_zone, pending: *pending,
        }).collect();
        let routing = Routing { policy, zone, ..Routing::default() };
        let chosen = choose(&all, &routing, key, &mut turn, &mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(chosen.is_some(), !all.is_empty());
        if let Some(chosen) = chosen {
            prop_assert_eq!(Some(all[chosen].tier), all.iter().map(|candidate| candidate.tier).min());
        }
    }

    #[test]
    fn different_bytes_have_different_hashes(one in vec(any::<u8>(), 0..20), other in vec(any::<u8>(), 0..20)) {
        prop_assert_eq!(one == other, hash(&one) == hash(&other));
        let mut longer = one.clone();
        longer.push(0);
        prop_assert!(hash(&one) != hash(&longer));
    }
}
