//! The committed code is what the schemas generate. `CEREUS_REGENERATE=1` writes it anew.

use std::path::Path;

/// Compiles the schemas without `protoc` and returns the folder with the code.
fn generate(schemas: &Path) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let compile = |file: &str| protox::compile([schemas.join(file)], [schemas]).unwrap();
    let settings = || {
        tonic_prost_build::configure()
            .bytes(".")
            .btree_map(".")
            .build_transport(true)
            .emit_rerun_if_changed(false)
            .out_dir(out.path())
    };
    // The link's client and server are written by hand: they encode straight from the outbound queue.
    settings().build_client(false).build_server(false).compile_fds(compile("cereus/link/v1/link.proto")).unwrap();
    settings().compile_fds(compile("protos/pitaya.proto")).unwrap();
    out
}

#[test]
fn committed_code_is_what_the_schemas_generate() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/rpc/generated");
    let fresh = generate(&root.join("proto"));
    for name in ["cereus.link.v1.rs", "protos.rs"] {
        let code = std::fs::read_to_string(fresh.path().join(name)).unwrap();
        if std::env::var_os("CEREUS_REGENERATE").is_some() {
            std::fs::write(committed.join(name), &code).unwrap();
        }
        let kept = std::fs::read_to_string(committed.join(name)).unwrap_or_default();
        assert!(kept == code, "{name} is out of date: run the tests once with CEREUS_REGENERATE=1");
    }
}
