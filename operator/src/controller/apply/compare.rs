//! Whether an object already is as it is to be. Pure.
//!
//! The API server fills in defaults and writes quantities its own way, and others may add what is theirs; so what is to
//! be must be *in* what is. What was taken away from what is to be shows in the fingerprint among the annotations.

use kube::core::DynamicObject;
use serde_json::Value;

/// Whether applying `desired` would change nothing in `live`.
pub(super) fn is_applied(desired: &DynamicObject, live: &DynamicObject) -> bool {
    let metadata = |object: &DynamicObject| serde_json::to_value(&object.metadata).unwrap_or_default();
    contains(&metadata(live), &metadata(desired)) && contains(&live.data, &desired.data)
}

/// Whether all that `wanted` says holds for `is`.
fn contains(is: &Value, wanted: &Value) -> bool {
    match (is, wanted) {
        (Value::Object(is), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| contains(is.get(key).unwrap_or(&Value::Null), wanted))
        }
        (Value::Array(is), Value::Array(wanted)) => contains_list(is, wanted),
        (Value::String(is), Value::String(wanted)) => is == wanted || same_quantity(is, wanted),
        // What is empty is not stored.
        (Value::Null, Value::Object(wanted)) => wanted.values().all(|wanted| contains(&Value::Null, wanted)),
        (Value::Null, Value::Array(wanted)) => wanted.is_empty(),
        // So is what is the zero value of its type.
        (Value::Null, Value::Bool(wanted)) => !wanted,
        (Value::Null, Value::String(wanted)) => wanted.is_empty(),
        _ => is == wanted,
    }
}

/// Lists of things with names may have more of them, which are somebody else's; others must be the same.
fn contains_list(is: &[Value], wanted: &[Value]) -> bool {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    if !wanted.is_empty() && wanted.iter().all(|wanted| name(wanted).is_some()) {
        return wanted.iter().all(|wanted| is.iter().any(|is| name(is) == name(wanted) && contains(is, wanted)));
    }
    is.len() == wanted.len() && is.iter().zip(wanted).all(|(is, wanted)| contains(is, wanted))
}

/// Whether two texts are the same amount: `1000m` is stored as `1`.
fn same_quantity(one: &str, other: &str) -> bool {
    match (quantity(one), quantity(other)) {
        (Some(one), Some(other)) => (one - other).abs() <= f64::EPSILON * one.abs().max(other.abs()),
        _ => false,
    }
}

/// The amount that a text such as `500m`, `64Mi` or `1e3` says.
fn quantity(text: &str) -> Option<f64> {
    let split = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let scale = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => return exponent.starts_with(['e', 'E']).then(|| text.parse().ok()).flatten(),
    };
    number.parse::<f64>().ok().map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::contains;

    #[test]
    fn what_is_to_be_is_found_in_what_is() {
        let check = |is: Value, wanted: Value, expected: bool| {
            assert_eq!(contains(&is, &wanted), expected, "{wanted} in {is}");
        };
        check(json!({ "a": 1, "b": 2 }), json!({ "a": 1 }), true);
        check(json!({ "a": 1 }), json!({ "a": 2 }), false);
        check(json!({}), json!({ "a": 1 }), false);
        check(json!({}), json!({ "a": {}, "b": [], "c": { "d": [] }, "e": false }), true);
        check(json!({}), json!({ "a": true }), false);
        // The API server's own way to write amounts, of resources only.
        check(json!({ "cpu": "1" }), json!({ "cpu": "1000m" }), true);
        check(json!({ "memory": "1Gi" }), json!({ "memory": "1024Mi" }), true);
        check(json!({ "memory": "1000" }), json!({ "memory": "1e3" }), true);
        check(json!({ "cpu": "1" }), json!({ "cpu": "1001m" }), false);
        check(json!({ "image": "a:1" }), json!({ "image": "a:2" }), false);
        // A list of things with names may have others', in any order; a plain list may not.
        check(
            json!([{ "name": "x" }, { "name": "server", "a": 1, "b": 2 }]),
            json!([{ "name": "server", "a": 1 }]),
            true,
        );
        check(json!([{ "name": "x" }]), json!([{ "name": "server" }]), false);
        check(json!(["serve", "--x"]), json!(["serve"]), false);
        check(json!([{ "port": 1, "protocol": "TCP" }]), json!([{ "port": 1 }]), true);
        check(json!([{ "port": 1 }, { "port": 2 }]), json!([{ "port": 1 }]), false);
    }
}
