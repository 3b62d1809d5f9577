//! What was probably meant.

/// Names closer than this are suggested: one slip in a short word, two or three in a long one.
const SIMILAR: f64 = 0.6;

/// The name among `known` that is most like `name`, if one is.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let similarity = |other: &str| strsim::normalized_damerau_levenshtein(&plain(name), &plain(other));
    let scored = known.into_iter().map(|other| (similarity(other), other));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= SIMILAR).then_some(best.1)
}

/// A name without case and separators: `maxReplicas`, `max_replicas` and `max-replicas` are one.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}
