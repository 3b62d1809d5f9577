use super::{
    super::status::GameStatus,
    Answer, Request,
    place::{Place, find_in},
};

#[test]
fn a_game_is_found_while_it_runs() {
    let root = tempfile::tempdir().unwrap();
    let folder = &root.path().join("cereus");
    let find = |name| find_in(folder, name).map_err(|error| error.to_string());
    let none = Err("no game runs here; start one with `cereus dev`".to_owned());
    assert_eq!(find(None), none);
    let first = Place::take_in(folder, None).unwrap();
    assert_eq!((first.name(), first.is_default()), ("dev", true));
    // A lock is not enough: the socket says that it answers.
    assert_eq!(find(None), none);
    std::fs::write(first.socket(), "").unwrap();
    assert_eq!(find(None).as_deref(), Ok(first.socket()));
    assert_eq!(find(Some("chat")), Err("no game called chat runs; there are dev".to_owned()));

    let second = Place::take_in(folder, None).unwrap();
    assert_eq!((second.name(), second.is_default()), ("dev-2", false));
    std::fs::write(second.socket(), "").unwrap();
    assert_eq!(find(None), Err("several games run: dev, dev-2; choose one with --name".to_owned()));
    assert_eq!(find(Some("dev-2")).as_deref(), Ok(second.socket()));
    let taken = Place::take_in(folder, Some("dev")).unwrap_err().to_string();
    assert_eq!(taken, "a game called dev runs already; choose another --name");
    assert!(Place::take_in(folder, Some("../x")).is_err());
    drop((first, second));
    assert_eq!(find(None), none);
}

#[test]
fn a_socket_that_was_left_behind_is_no_game() {
    let root = tempfile::tempdir().unwrap();
    let folder = &root.path().join("cereus");
    drop(Place::take_in(folder, Some("chat")).unwrap());
    std::fs::write(folder.join("chat.sock"), "").unwrap();
    std::fs::create_dir_all(folder.join("chat.files/run-1/topology")).unwrap();
    assert!(find_in(folder, Some("chat")).is_err());
    let again = Place::take_in(folder, Some("chat")).unwrap();
    assert!(!again.socket().exists() && !folder.join("chat.files/run-1").exists());
    let (first, second) = (again.files().unwrap(), again.files().unwrap());
    assert!(first != second && first.starts_with(folder.join("chat.files")) && first.is_dir());
    drop(again);
    assert!(!folder.join("chat.files").exists());
}

#[test]
fn a_folder_of_somebody_else_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = Place::take_in(root.path(), None).unwrap_err().to_string();
    assert!(error.ends_with("must be a folder of this user that nobody else can write to"), "{error}");
}

#[test]
fn requests_and_answers_are_lines_of_json() {
    let scale = r#"{"scale":{"type":"room","replicas":3}}"#;
    let read: Request = serde_json::from_str(scale).unwrap();
    assert_eq!(read, Request::Scale { server_type: "room".to_owned(), replicas: 3, wait: false });
    assert_eq!(serde_json::from_str::<Request>(r#"{"get":{}}"#).unwrap(), Request::Get {});
    assert!(serde_json::from_str::<Request>(r#"{"kill":{}}"#).is_err());
    let answer = serde_json::to_string(&Answer::Status(GameStatus::default())).unwrap();
    assert_eq!(answer, r#"{"status":{"types":[],"servers":[]}}"#);
}
