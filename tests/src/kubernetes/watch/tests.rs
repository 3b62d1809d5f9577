use serde_json::json;

use super::take;

#[test]
fn events_may_arrive_in_any_pieces() {
    let stream = "{\n \"type\": \"ADDED\", \"object\": { \"a\": [1] } }\n{\"object\":{\"b\":\"}{\"}}";
    for size in 1..=stream.len() {
        let (mut text, mut objects) = (Vec::new(), Vec::new());
        for piece in stream.as_bytes().chunks(size) {
            text.extend_from_slice(piece);
            objects.extend(take(&mut text).unwrap());
        }
        assert_eq!(objects, [json!({ "a": [1] }), json!({ "b": "}{" })], "pieces of {size}");
    }
    assert!(take(&mut b"{}}".to_vec()).is_err());
}
