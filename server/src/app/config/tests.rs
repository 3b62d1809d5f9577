use std::{ffi::OsString, io::Write as _, time::Duration};

use cereus_crds::contract::{Place, Security, VariableValue, config_text, environment};
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde_json::json;

use crate::{acceptor::Protocol, app::Application, request::App};

use super::{ConfigError, Loaded, Loader, Origin, SerializerName, Settings};

/// The three layers of one configuration.
#[derive(Default)]
struct Layers<'a> {
    file: &'a str,
    environment: &'a [(&'a str, &'a str)],
    set: &'a [&'a str],
}

fn load(layers: &Layers<'_>) -> Result<(Settings, Loaded), String> {
    let mut file = tempfile::Builder::new().prefix("config").suffix(".yaml").tempfile().unwrap();
    file.write_all(layers.file.as_bytes()).unwrap();
    let variables = layers.environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let result = (|| {
        let mut loader = Loader::new::<Settings>();
        loader.section("game", schema_for!(Game));
        loader.file(file.path())?.environment(variables);
        for assignment in layers.set {
            loader.set("--set", assignment);
        }
        let merged = loader.finish()?;
        Ok((merged.settings()?, merged))
    })();
    result.map_err(|error: ConfigError| error.to_string().replace(file.path().to_str().unwrap(), "config.yaml"))
}

fn refused(file: &str, environment: &[(&str, &str)], set: &[&str]) -> String {
    load(&Layers { file, environment, set }).unwrap_err()
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Game {
    /// How many players a room holds.
    room_size: u32,
    title: String,
    /// What one wins.
    prize: Prize,
}

#[derive(Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Prize {
    coins: u32,
}

#[test]
fn later_layers_win_key_by_key() {
    let (settings, loaded) = load(&Layers {
        file: "
            server: { type: room, id: one, workers: 3, request_timeout: 2.5s }
            drain: { linger: 1s, deadline: 1m }
            admin:
        ",
        environment: &[("CEREUS__SERVER__ID", "two"), ("CEREUS__SERVER__WORKERS", "4"), ("CEREUS_OTHER", "x")],
        set: &["server.workers=5"],
    })
    .unwrap();
    assert_eq!(settings.server.server_type, "room");
    assert_eq!(settings.server.id.as_deref(), Some("two"));
    assert_eq!(settings.server.workers.map(Into::into), Some(5));
    assert_eq!(settings.server.request_timeout, Duration::from_millis(2500));
    assert_eq!(settings.server.serializer, SerializerName::Json);
    assert!(!settings.is_frontend());
    assert_eq!(settings.drain.linger, Duration::from_secs(1));
    assert_eq!(settings.drain.spread(), Duration::from_secs(15));
    assert_eq!(settings.admin.listen, None);
    let origin = |path| loaded.layers.origin(path).map(ToString::to_string);
    assert_eq!(loaded.layers.origin("server.id"), Some(&Origin::Environment("CEREUS__SERVER__ID".to_owned())));
    assert_eq!(origin("server.workers").as_deref(), Some("--set server.workers=5"));
    assert!(matches!(loaded.layers.origin("drain.linger"), Some(Origin::File(_))));
    assert_eq!(origin("server.serializer"), None);
}

#[test]
fn only_the_type_has_no_default() {
    let (settings, _) = load(&Layers { set: &["server.type=room"], ..Layers::default() }).unwrap();
    assert_eq!(settings.drain.linger, Duration::from_secs(5));
    assert_eq!(settings.drain.deadline, Duration::from_mins(10));
    assert_eq!(settings.drain.spread(), Duration::from_secs(30));
    assert_eq!(settings.server.request_timeout, Duration::from_secs(10));
    for file in ["", "# nothing\n", "server:\n", "drain: {}\n"] {
        let error = refused(file, &[], &[]);
        assert!(error.starts_with("server.type is not set (The server type, such as `room`"), "{file:?}: {error}");
        assert!(
            error.ends_with("; set it in the file, as CEREUS__SERVER__TYPE, or with --set server.type=…"),
            "{file:?}: {error}"
        );
    }
}

#[test]
fn lists_replace_and_may_come_as_text() {
    let file =
        "{ server: { type: connector }, acceptor: { listen: [{ name: a, protocol: TCP, address: '0.0.0.0:1' }] } }";
    let (settings, _) = load(&Layers { file, ..Layers::default() }).unwrap();
    assert_eq!(settings.acceptor.listen.len(), 1);
    let text = "[{name: b, protocol: WebSocket, address: '127.0.0.1:2'}, {name: c, protocol: TCP, address: '[::1]:3'}]";
    let environment = &[("CEREUS__ACCEPTOR__LISTEN", text)];
    let (settings, loaded) = load(&Layers { file, environment, ..Layers::default() }).unwrap();
    assert!(settings.is_frontend());
    let acceptors = settings.acceptor.listen;
    let names: Vec<_> = acceptors.iter().map(|acceptor| (acceptor.name.as_str(), acceptor.protocol)).collect();
    assert_eq!(names, [("b", Protocol::WebSocket), ("c", Protocol::Tcp)]);
    let origin = loaded.layers.origin("acceptor.listen[1].name").unwrap();
    assert_eq!(origin.to_string(), "CEREUS__ACCEPTOR__LISTEN");
}

#[test]
fn text_that_looks_like_a_number_stays_text_where_text_is_wanted() {
    let environment = &[("CEREUS__SERVER__ID", "1234"), ("CEREUS__ADMIN__TOKEN", "true")];
    let (settings, _) = load(&Layers { environment, set: &["server.type=7"], ..Layers::default() }).unwrap();
    assert_eq!(settings.server.id.as_deref(), Some("1234"));
    assert_eq!(settings.server.server_type, "7");
    assert_eq!(settings.admin.token.as_deref(), Some("true"));
}

#[test]
fn a_section_in_one_variable_yields_to_its_keys() {
    let environment = &[("CEREUS__DRAIN__LINGER", "2s"), ("CEREUS__DRAIN", "{linger: 1s, deadline: 3s}")];
    let (settings, _) = load(&Layers { environment, set: &["server.type=a"], ..Layers::default() }).unwrap();
    assert_eq!((settings.drain.linger, settings.drain.deadline), (Duration::from_secs(2), Duration::from_secs(3)));
}

#[test]
fn an_unknown_key_is_named_with_its_source_and_the_nearest() {
    let right = "server: { type: room }\n";
    let file = |text: &str| refused(&format!("{right}{text}"), &[], &[]);
    assert_eq!(file("drain: { lingre: 1s }"), "config.yaml: unknown key drain.lingre; the nearest is drain.linger");
    assert_eq!(file("admn: {}"), "config.yaml: unknown key admn; the nearest is admin");
    assert_eq!(file("linger: 5s"), "config.yaml: unknown key linger; the nearest is drain.linger");
    assert_eq!(
        file("topology: { etcd: x }"),
        "config.yaml: unknown key topology.etcd; there are directory, kubernetes"
    );
    assert_eq!(
        refused("server: { type: room, requestTimeot: 5s }", &[], &[]),
        "config.yaml: unknown key server.requestTimeot; the nearest is server.request_timeout"
    );
    assert_eq!(
        refused(
            "{ server: { type: c }, acceptor: { listen: [{ nam: a, protocol: TCP, address: '0.0.0.0:1' }] } }",
            &[],
            &[]
        )
        .lines()
        .next(),
        Some("config.yaml: unknown key acceptor.listen[0].nam; the nearest is acceptor.listen[0].name")
    );
    assert_eq!(
        refused(right, &[("CEREUS__SERVER__TPYE", "x")], &[]),
        "CEREUS__SERVER__TPYE: unknown key server.tpye; the nearest is CEREUS__SERVER__TYPE"
    );
    assert_eq!(
        refused(right, &[], &["drain.deadlin=1s"]),
        "--set drain.deadlin=1s: unknown key drain.deadlin; the nearest is drain.deadline"
    );
    let all = refused("server: { type: room, a1: 1, b2: 2 }", &[("CEREUS__X", "")], &[]);
    assert_eq!(all.lines().count(), 3, "{all}");
}

#[test]
fn a_wrong_value_is_named_with_its_source_and_what_is_right() {
    let right = "server: { type: room }\n";
    let check = |error: String, parts: &[&str]| {
        for part in parts {
            assert!(error.contains(part), "{error:?} does not say {part:?}");
        }
    };
    check(
        refused(&format!("{right}drain: {{ linger: 10 }}"), &[], &[]),
        &["config.yaml: drain.linger = 10: ", "expected a duration such as \"500ms\"", "(How long new connections"],
    );
    check(
        refused(right, &[("CEREUS__SERVER__WORKERS", "many")], &[]),
        &[
            "CEREUS__SERVER__WORKERS: server.workers = \"many\": invalid type: string \"many\", expected a nonzero usize",
        ],
    );
    check(
        refused(right, &[], &["server.serializer=jsn"]),
        &["--set server.serializer=jsn: server.serializer = \"jsn\"", "expected `json` or `protobuf`"],
    );
    check(refused(right, &[], &["server.type=a.b"]), &["server.type = \"a.b\": a server type is 1 to 63 letters"]);
    check(refused(right, &[], &["server.id=a b"]), &["server.id = \"a b\": a server id is"]);
    check(
        refused(right, &[("CEREUS__ADMIN__LISTEN", ":80")], &[]),
        &["admin.listen = \":80\": invalid socket address"],
    );
    check(
        refused(right, &[], &["acceptor.listen=[{name: a, protocol: UDP, address: '1.1.1.1:1'}]"]),
        &["acceptor.listen[0].protocol = \"UDP\": unknown variant `UDP`, expected `TCP` or `WebSocket`"],
    );
    check(
        refused(
            right,
            &[],
            &["acceptor.listen=[{name: a, protocol: TCP, address: '1.1.1.1:1', trusted_proxies: [x]}]"],
        ),
        &[
            "acceptor.listen[0].trusted_proxies = [\"x\"]: \"x\" is no network: write an address, or one with",
            "10.0.0.0/8",
        ],
    );
    check(
        refused(right, &[], &["acceptor.listen=[{name: a, protocol: TCP, address: '1.1.1.1:1', tls: {}}]"]),
        &["acceptor.listen[0].tls.certificate is not set (A PEM file", "acceptor.listen[0].tls.key is not set"],
    );
    check(refused(right, &[], &["server=5"]), &["server = 5: invalid type"]);
    check(refused(right, &[], &["server"]), &["--set server: write section.key=value"]);
}

#[test]
fn a_zero_that_would_break_the_server_is_refused_with_the_least_value() {
    for (key, zero, least) in [
        ("agent.handshake_timeout", "0s", "1ms"),
        ("agent.heartbeat", "0s", "1s"),
        ("agent.heartbeat", "999ms", "1s"),
        ("agent.write_timeout", "0", "1ms"),
        ("agent.max_packet", "0", "1"),
        ("agent.max_handshake_packet", "0", "1"),
        ("agent.outbound.messages", "0", "1"),
        ("agent.outbound.bytes", "0", "1"),
        ("lanes.session_messages", "0", "1"),
        ("lanes.requests_per_link", "0", "1"),
        ("link.max_frame", "327679", "327680"),
        ("link.outbound", "0", "1"),
        ("server.request_timeout", "0s", "1ms"),
    ] {
        let set = |value| ["server.type=room".to_owned(), format!("{key}={value}")];
        let error = refused("", &[], &set(zero).each_ref().map(String::as_str));
        assert!(error.contains(&format!("{key} = ")), "{error}");
        assert!(error.contains(&format!(": must be at least {least} (")), "{error}");
        load(&Layers { set: &set(least).each_ref().map(String::as_str), ..Layers::default() }).unwrap();
    }
}

#[test]
fn a_secret_is_not_shown() {
    let error = refused("server: { type: room }\nadmin: { token: [hush] }", &[], &[]);
    assert_eq!(error.find("hush"), None, "{error}");
    assert!(error.starts_with("config.yaml: admin.token: the value is wrong"), "{error}");
}

#[test]
fn a_file_that_is_no_configuration_is_an_error() {
    assert!(refused("server: { type: a }\nserver: { type: b }", &[], &[]).contains("duplicate entry"));
    assert!(refused("- a\n- b", &[], &[]).contains("it must hold sections"));
    assert!(refused("a: [", &[], &[]).starts_with("config.yaml is not a configuration: "));
    let error = Loader::new::<Settings>().file(std::path::Path::new("/no/such/file.yaml")).unwrap_err();
    assert_eq!(error.to_string(), "/no/such/file.yaml cannot be read");
}

#[test]
fn a_game_has_sections_of_its_own() {
    let file = "{ server: { type: room }, game: { room_size: 4, title: x } }";
    let (_, loaded) = load(&Layers { file, set: &["game.title=12"], ..Layers::default() }).unwrap();
    assert_eq!(
        loaded.section::<Game>("game").unwrap(),
        Game { room_size: 4, title: "12".to_owned(), prize: Prize::default() }
    );
    let error = refused("{ server: { type: room }, game: { prize: { coin: 4 } } }", &[], &[]);
    assert_eq!(error, "config.yaml: unknown key game.prize.coin; the nearest is game.prize.coins");
    let (_, loaded) = load(&Layers { set: &["server.type=room"], ..Layers::default() }).unwrap();
    assert_eq!(loaded.section::<Game>("game").unwrap(), Game::default());
    let error = refused("{ server: { type: room }, game: { room_siz: 4 } }", &[], &[]);
    assert_eq!(error, "config.yaml: unknown key game.room_siz; the nearest is game.room_size");
    let (_, loaded) = load(&Layers { set: &["server.type=room", "game.room_size=x"], ..Layers::default() }).unwrap();
    let error = loaded.section::<Game>("game").unwrap_err().to_string();
    assert!(error.starts_with("--set game.room_size=x: game.room_size = \"x\": invalid type"), "{error}");
    assert!(error.ends_with("(How many players a room holds)"), "{error}");
}

#[test]
fn handlers_take_a_section_as_state() {
    let mut application = Application::default();
    application.config::<Game>("game");
    let mut loader = Loader::new::<Settings>();
    for (name, schema) in application.sections() {
        loader.section(name, schema.clone());
    }
    loader.set("--set", "server.type=room").set("--set", "game.room_size=4");
    application.configure(&loader.finish().unwrap()).unwrap();
    let app = application.states.into_iter().fold(App::builder("one", "room"), |app, state| state(app)).build();
    assert_eq!(app.get::<Game>().unwrap().room_size, 4);
}

#[test]
fn unknown_keys_of_a_game_are_the_business_of_its_type() {
    #[derive(Debug, Deserialize, JsonSchema)]
    struct Open {
        size: u32,
    }
    let mut loader = Loader::new::<Settings>();
    loader.section("game", schema_for!(Open)).set("--set", "server.type=room").set("--set", "game={size: 4, more: 5}");
    assert_eq!(loader.finish().unwrap().section::<Open>("game").unwrap().size, 4);
}

#[test]
fn a_section_of_a_game_has_a_name_of_its_own() {
    let mut loader = Loader::new::<Settings>();
    loader.section("drain", schema_for!(Game)).section("game", schema_for!(Game)).section("game", schema_for!(Game));
    loader.set("--set", "server.type=room");
    let error = loader.finish().unwrap_err().to_string();
    let expected =
        ["drain", "game"].map(|name| format!("the game's section {name} needs another name: there is one already"));
    assert_eq!(error.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn no_section_of_ours_takes_unknown_keys() {
    let loader = Loader::new::<Settings>();
    let sections = loader.schema.root().places().into_iter().filter(|place| !place.node.keys().is_empty());
    let open: Vec<String> = sections.filter(|place| place.node.is_open()).map(|place| place.path).collect();
    assert_eq!(open, [""; 0]);
}

#[test]
fn a_server_takes_what_the_image_contract_gives() {
    let spec = "
        frontend:
          acceptors:
            - { name: tcp, protocol: TCP, port: 3250 }
            - { name: ws, protocol: WebSocket, port: 3251, tls: { secretName: game }, proxyProtocol: true, trustedProxies: [10.0.0.0/8] }
        drain: { linger: 1s, deadline: 1m30s, spread: 2s }
        config: { server: { workers: 3 } }
    ";
    let spec: cereus_crds::ServerTypeSpec = serde_yaml::from_str(spec).unwrap();
    let address = |text: &str| text.parse::<std::net::SocketAddr>().unwrap();
    let process =
        Place::process("connector-1", address("127.0.0.1:1"), address("127.0.0.1:2"), std::path::Path::new("/t"));
    let insecure = Place { security: Security::None, ..Place::pod() };
    for (place, link) in [(process, "127.0.0.1:1"), (insecure, "[::]:3260"), (Place::pod(), "[::]:3260")] {
        let text = |value: &VariableValue| value.text().unwrap_or("8f14e45f-ceea-467f-ab4b-1f5d3e4b9c1a").to_owned();
        let set: Vec<_> =
            environment("connector", &spec, &place).iter().map(|set| (set.name, text(&set.value))).collect();
        let environment: Vec<_> = set.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let file = config_text(&spec.config).unwrap();
        let (settings, loaded) = load(&Layers { file: &file, environment: &environment, set: &[] }).unwrap();
        assert_eq!(settings.server.server_type, "connector");
        assert_eq!(settings.server.workers.map(Into::into), Some(3));
        assert!(settings.server.frontend && settings.server.id.is_some());
        assert_eq!(settings.link.listen, address(link));
        assert_eq!(settings.link.insecure, place.security == Security::None);
        let folder = settings.link.certificates.clone().map(Security::Certificates);
        assert_eq!(folder.is_some(), place.security == Place::pod().security);
        assert!(folder.is_none_or(|folder| folder == place.security));
        assert_eq!(settings.server.namespace.is_some(), place.topology.is_none());
        assert_eq!(settings.admin.listen, Some(place.admin));
        let listen: Vec<_> = settings.acceptor.listen.iter().map(|listen| (&*listen.name, listen.address)).collect();
        let client = |port| std::net::SocketAddr::from((place.client_address, port));
        assert_eq!(listen, [("tcp", client(3250)), ("ws", client(3251))]);
        let [plain, encrypted] = settings.acceptor.listen.as_slice() else { panic!("there are two") };
        assert!(plain.tls.is_none() && !plain.proxy_protocol && encrypted.proxy_protocol);
        assert_eq!(encrypted.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
        let tls = encrypted.tls.as_ref().unwrap();
        assert!(tls.certificate.ends_with("ws/tls.crt") && tls.key.ends_with("ws/tls.key"), "{tls:?}");
        assert_eq!(settings.drain.linger, Duration::from_secs(1));
        assert_eq!(settings.drain.spread(), Duration::from_secs(2));
        assert_eq!(settings.topology.directory, place.topology);
        // Each variable is read: what it sets came from it.
        for (name, _) in set {
            let path = name.trim_start_matches("CEREUS__").to_lowercase().replace("__", ".");
            assert_eq!(loaded.layers.origin(&path), Some(&Origin::Environment(name.to_owned())), "{name}");
        }
    }
}

#[test]
fn what_is_wrong_is_reported_in_parts() {
    let file = "{ server: { type: room, workers: no }, drain: { lingre: 1s } }";
    let mut loader = Loader::new::<Settings>();
    loader.text_of_file(file, std::path::Path::new("-")).unwrap();
    loader.environment([("CEREUS__ADMN".into(), "1".into())]);
    let reports = loader.finish().unwrap_err().reports();
    let report = |path: &str, origin: Option<&str>, message: &str| super::Report {
        path: path.to_owned(),
        origin: origin.map(str::to_owned),
        value: None,
        message: message.to_owned(),
    };
    assert_eq!(
        reports,
        [
            report("admn", Some("CEREUS__ADMN"), "unknown key; the nearest is CEREUS__ADMIN"),
            report("drain.lingre", None, "unknown key; the nearest is drain.linger"),
        ]
    );
}

#[test]
fn flags_are_typed_values() {
    let mut loader = Loader::new::<Settings>();
    loader.flag("--type", &["server", "type"], json!("room")).flag("--tpye", &["server", "tpye"], json!("room"));
    let error = loader.finish().unwrap_err().to_string();
    assert_eq!(error, "--tpye: unknown key server.tpye; the nearest is server.type");
}
