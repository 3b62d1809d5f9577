//! What was probably meant by a name that is not known.

/// Names closer than this are suggested.
const SIMILAR: f64 = 0.6;

/// `no server type romo; the nearest is room`, or all that there are.
pub(super) fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let scored = known.iter().map(|other| (strsim::normalized_damerau_levenshtein(name, other), *other));
    match scored.max_by(|a, b| a.0.total_cmp(&b.0)) {
        None => format!("no {what} {name}; there are none"),
        Some((score, nearest)) if score >= SIMILAR => format!("no {what} {name}; the nearest is {nearest}"),
        Some(_) => format!("no {what} {name}; there are {}", known.join(", ")),
    }
}
