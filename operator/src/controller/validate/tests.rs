use std::fmt::Write as _;

use cereus_crds::Validator;
use serde::Deserialize as _;
use serde_json::Value;

use super::validate;
use crate::controller::build::tests::{BACKEND, FRONTEND, PITAYA};

const WRONG: &str = include_str!("../fixtures/wrong.yaml");

/// What is said of each manifest.
fn verdicts(manifests: &str) -> String {
    let mut verdicts = String::new();
    for document in serde_yaml::Deserializer::from_str(manifests) {
        let document = Value::deserialize(document).unwrap();
        let name = document["metadata"]["name"].as_str().unwrap().to_owned();
        match validate(&serde_json::from_value(document).unwrap(), &Validator::new()) {
            Ok(valid) => writeln!(verdicts, "{name}: runs {}", valid.image).unwrap(),
            Err(invalid) => writeln!(verdicts, "{name}: {:?}: {}", invalid.reason, invalid.message).unwrap(),
        }
    }
    verdicts
}

#[test]
fn what_can_be_carried_out_names_its_image() {
    insta::assert_snapshot!([BACKEND, FRONTEND, PITAYA].map(verdicts).concat());
}

#[test]
fn what_cannot_be_carried_out_is_told_with_its_place_and_what_would_be_right() {
    insta::assert_snapshot!(verdicts(WRONG));
}
