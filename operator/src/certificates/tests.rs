use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::{CertificateError, Issued, issue, keys, parsed};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn authority_secret(issued: &Issued) -> Secret {
    Secret { data: Some(issued.authority.data()), ..Secret::default() }
}

fn leaf_secret(issued: &Issued) -> Secret {
    let entry = |key: &str, text: &str| (key.to_owned(), ByteString(text.as_bytes().to_vec()));
    let data = [
        entry(keys::TRUSTED, &issued.trusted),
        entry(keys::CERTIFICATE, &issued.leaf.certificate),
        entry(keys::PRIVATE_KEY, &issued.leaf.private_key),
    ];
    Secret { data: Some(data.into()), ..Secret::default() }
}

/// What is issued at `now` when `before` was issued and written.
fn after(now: Timestamp, before: &Issued) -> Issued {
    issue(now, "game", "room", Some(&authority_secret(before)), Some(&leaf_secret(before))).unwrap()
}

fn first() -> Issued {
    issue(start(), "game", "room", None, None).unwrap()
}

#[test]
fn a_server_type_gets_a_certificate_with_its_name_signed_by_the_authority_it_trusts() {
    let issued = first();
    assert!(issued.authority_changed);
    let leaf = parsed::Parsed::read(&issued.leaf.certificate).unwrap();
    assert_eq!(leaf.uris, ["cereus://game/room"]);
    assert!(leaf.has_key(&issued.leaf.private_key));
    assert!(parsed::signed(&issued.leaf.certificate, &issued.trusted));
    assert_eq!(leaf.not_after, start() + 30 * DAY);
}

#[test]
fn what_exists_and_is_right_is_kept() {
    let issued = first();
    let again = after(start() + 19 * DAY, &issued);
    assert!(!again.authority_changed);
    assert_eq!(again, Issued { authority_changed: false, ..issued });
}

#[test]
fn a_certificate_is_replaced_after_two_thirds_of_its_life() {
    let issued = first();
    assert!(issued.renew_at <= start() + 20 * DAY);
    assert!(issued.renew_at > start() + 19 * DAY);
    let renewed = after(issued.renew_at, &issued);
    assert_ne!(renewed.leaf, issued.leaf);
    assert_eq!(renewed.trusted, issued.trusted);
}

#[test]
fn what_a_clock_that_ran_ahead_made_is_made_anew() {
    let issued = first();
    let ahead = after(start() + 21 * DAY, &issued);
    let now = start() + 20 * DAY;
    let right = after(now, &ahead);
    assert_ne!(right.leaf, ahead.leaf);
    assert!(parsed::Parsed::read(&right.leaf.certificate).unwrap().not_before <= now);
    // The successor of an authority, too.
    let late = start() + 2 * 365 * DAY + DAY;
    let ahead = after(late + 2 * DAY, &issued);
    let next = |issued: &Issued| issued.authority.data().get(keys::NEXT_CERTIFICATE).cloned();
    assert!(next(&ahead).is_some());
    let right = after(late, &ahead);
    assert!(next(&right).is_some() && next(&right) != next(&ahead));
}

#[test]
fn a_certificate_of_another_or_of_nobody_is_replaced() {
    let issued = first();
    let authority = authority_secret(&issued);
    let mut broken = leaf_secret(&issued);
    broken.data.as_mut().unwrap().remove(keys::PRIVATE_KEY);
    let mut swapped = leaf_secret(&issued);
    let other_key = first().leaf.private_key;
    swapped.data.as_mut().unwrap().insert(keys::PRIVATE_KEY.to_owned(), ByteString(other_key.into_bytes()));
    let other_authority = leaf_secret(&first());
    let other_type = leaf_secret(&issue(start(), "game", "lobby", Some(&authority), None).unwrap());
    for existing in [broken, swapped, other_authority, other_type] {
        let again = issue(start(), "game", "room", Some(&authority), Some(&existing)).unwrap();
        assert!(!again.authority_changed);
        assert_eq!(parsed::Parsed::read(&again.leaf.certificate).unwrap().uris, ["cereus://game/room"]);
        assert!(parsed::signed(&again.leaf.certificate, &issued.trusted));
    }
}

/// Through four authorities: at every step both the old and the new certificate are trusted by whoever has either list.
#[test]
fn one_authority_follows_another_without_a_moment_of_distrust() {
    let mut now = start();
    let mut issued = first();
    let mut signers = vec![parsed::each(&issued.trusted).remove(0)];
    while signers.len() < 4 {
        assert!(issued.renew_at > now, "it would be looked at over and over at {now}");
        now = issued.renew_at;
        let next = after(now, &issued);
        for (certificate, trusted) in [
            (&issued.leaf.certificate, &next.trusted),
            (&next.leaf.certificate, &issued.trusted),
            (&next.leaf.certificate, &next.trusted),
        ] {
            let trusted = parsed::each(trusted);
            assert!(trusted.iter().any(|authority| parsed::signed(certificate, authority)), "at {now}");
        }
        let life = parsed::Parsed::read(&next.leaf.certificate).unwrap();
        assert!(life.not_after > now);
        let signer = parsed::each(&next.trusted).remove(0);
        if signers.last() != Some(&signer) {
            assert!(parsed::each(&issued.trusted).contains(&signer), "a stranger signs at {now}");
            signers.push(signer);
        }
        issued = next;
    }
    assert!(now > start() + 6 * 360 * DAY && now < start() + 7 * 365 * DAY, "{now}");
    assert!(parsed::each(&issued.trusted).len() <= 2, "those that have ended are forgotten");
}

#[test]
fn a_successor_signs_only_after_it_was_trusted_for_a_day() {
    let issued = first();
    let announced = start() + 731 * DAY;
    let both = after(announced, &issued);
    assert!(both.authority_changed);
    assert_eq!(parsed::each(&both.trusted).len(), 2);
    assert!(parsed::signed(&both.leaf.certificate, &issued.trusted));
    let same = after(announced + DAY - SignedDuration::from_secs(1), &both);
    assert!(!same.authority_changed);
    let successor = after(announced + DAY, &both);
    assert!(successor.authority_changed);
    assert!(!parsed::signed(&successor.leaf.certificate, &issued.trusted));
    assert_eq!(parsed::each(&successor.trusted).len(), 2);
}

#[test]
fn an_authority_that_cannot_be_read_is_not_replaced_behind_everyones_back() {
    let issued = first();
    for key in [keys::TRUSTED, keys::CERTIFICATE, keys::PRIVATE_KEY] {
        let mut secret = authority_secret(&issued);
        secret.data.as_mut().unwrap().insert(key.to_owned(), ByteString(b"?".to_vec()));
        let result = issue(start(), "game", "room", Some(&secret), None);
        if key == keys::TRUSTED {
            // The list is rewritten from the pair.
            assert!(result.unwrap().authority.trusted().contains("BEGIN CERTIFICATE"));
            continue;
        }
        let error = result.unwrap_err();
        assert!(matches!(&error, CertificateError::Authority { secret, .. } if secret == "authority-game"), "{error}");
    }
}
