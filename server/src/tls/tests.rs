//! Files that are wrong, and files that change.

use std::{fs, path::Path, time::Duration};

use tempfile::TempDir;

use super::{
    Error, Reloading,
    pem::{key_pair, roots},
    testing::{Authority, Pair, mount_pair},
};

/// The error with its cause, without the folder.
fn said(error: &Error, folder: &Path) -> String {
    error.line().replace(&format!("{}/", folder.display()), "")
}

#[test]
fn a_file_that_is_wrong_is_named_with_what_would_be_right() {
    let authority = Authority::new();
    let (one, other) = (authority.issue(&["localhost"]), authority.issue(&["localhost"]));
    let folder = Path::new("/folder");
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let broken = format!("{}!", one.certificate.replacen("MII", "M!I", 1));
    let rows = [
        (
            "",
            &*one.key,
            "tls.crt cannot be used as a certificate: it holds no certificate: PEM text is expected, with a block that \
             begins with -----BEGIN CERTIFICATE-----",
        ),
        (
            &one.certificate,
            &one.certificate,
            "tls.key cannot be used as the key of a certificate: it holds no private key: PEM text is expected, with a \
             block that begins with -----BEGIN PRIVATE KEY-----",
        ),
        (
            &one.certificate,
            &other.key,
            "tls.key cannot be used as the key of a certificate: it is not the key of the certificate in tls.crt",
        ),
        (&broken, &one.key, "tls.crt cannot be used as a certificate: it is not PEM text: "),
    ];
    for (chain, secret, expected) in rows {
        let error = key_pair(&certificate, chain.as_bytes(), &key, secret.as_bytes()).unwrap_err();
        assert!(said(&error, folder).starts_with(expected), "{}", said(&error, folder));
    }
    key_pair(&certificate, one.certificate.as_bytes(), &key, one.key.as_bytes()).unwrap();
    let error = roots(&folder.join("ca.crt"), b"x").unwrap_err();
    assert!(said(&error, folder).starts_with("ca.crt cannot be used as the certificates of an authority"), "{error}");
    let both = [authority.pem(), Authority::new().pem()].concat();
    assert_eq!(roots(&folder.join("ca.crt"), both.as_bytes()).unwrap().len(), 2);
}

/// The text of both files, as a stand-in for what is made of them.
fn follow(folder: &Path) -> Result<Reloading<String>, Error> {
    let paths = [folder.join("tls.crt"), folder.join("tls.key")];
    let [certificate, key] = paths.clone();
    Reloading::start([("a certificate", certificate), ("a key", key)], move |[chain, secret]| {
        key_pair(&paths[0], chain, &paths[1], secret)?;
        Ok(String::from_utf8_lossy(chain).into_owned())
    })
}

async fn becomes(files: &Reloading<String>, pair: &Pair) {
    let same = async {
        while *files.latest() != pair.certificate {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), same).await.expect("it is read");
}

#[tokio::test]
async fn a_replaced_file_counts_and_a_bad_one_does_not() {
    let authority = Authority::new();
    let pair = || authority.issue(&["localhost"]);
    let (first, second, third) = (pair(), pair(), pair());
    let folder = TempDir::new().unwrap();
    let folder = folder.path();
    let error = follow(folder).unwrap_err();
    assert!(said(&error, folder).starts_with("tls.crt cannot be used as a certificate: it cannot be read: No such"));
    let error = follow(&folder.join("nowhere")).unwrap_err();
    assert!(said(&error, folder).starts_with("nowhere/tls.crt cannot be used as a certificate: it cannot"), "{error}");

    // As Kubernetes does it.
    mount_pair(folder, &first);
    let files = follow(folder).unwrap();
    assert_eq!(*files.latest(), first.certificate);
    mount_pair(folder, &second);
    becomes(&files, &second).await;

    // One that does not fit stays without effect, until its other half comes.
    mount_pair(folder, &Pair { certificate: third.certificate.clone(), key: second.key.clone() });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(*files.latest(), second.certificate);
    mount_pair(folder, &third);
    becomes(&files, &third).await;

    // As people do it.
    fs::remove_file(folder.join("tls.crt")).unwrap();
    fs::remove_file(folder.join("tls.key")).unwrap();
    fs::write(folder.join("tls.key"), &first.key).unwrap();
    fs::write(folder.join("tls.crt"), &first.certificate).unwrap();
    becomes(&files, &first).await;
}
