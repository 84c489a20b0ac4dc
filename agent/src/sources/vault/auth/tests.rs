//! Against a scripted Vault: what each way to log in sends, and what it refuses.

use std::path::Path;

use super::*;
use crate::scripted::{Answer as Scripted_, Scripted};
use crate::sources::vault::VaultConfig;

fn approle(folder: &Path, wrapped: bool) -> Auth {
    let secret_id_file = folder.join("secret-id");
    std::fs::write(&secret_id_file, "delivered").unwrap();
    let (mount, role_id) = ("approle".to_owned(), "role-1".to_owned());
    Auth::AppRole { mount, role_id, secret_id_file, wrapped }
}

fn session(server: &Scripted, auth: Option<Auth>, remembered: &Remembered) -> Session {
    let config = VaultConfig { address: server.address(), auth, ..VaultConfig::default() };
    Session::new(Vault::new(config).unwrap(), remembered, Mode::Keep)
}

fn vault(creation_path: &'static str) -> Scripted {
    let login = r#"{"auth":{"client_token":"fresh","lease_duration":600,"renewable":true}}"#;
    Scripted::start(move |request| match request.split(' ').nth(1).unwrap() {
        "/v1/sys/wrapping/lookup" => {
            Scripted_::json(200, &format!(r#"{{"data":{{"creation_path":"{creation_path}"}}}}"#))
        }
        "/v1/sys/wrapping/unwrap" => {
            Scripted_::json(200, r#"{"data":{"secret_id":"unwrapped-id"}}"#)
        }
        "/v1/auth/approle/login" => Scripted_::json(200, login),
        _ => Scripted_::json(403, r#"{"errors":["permission denied"]}"#),
    })
}

#[tokio::test]
async fn a_wrapped_secret_id_is_unwrapped_once_also_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = vault("auth/approle/role/hdfs/secret-id");
    let auth = approle(folder.path(), true);
    let mut first = session(&server, Some(auth.clone()), &Remembered::default());
    assert_eq!(first.token().await.unwrap().expose(), "fresh");
    let mut remembered = Remembered::default();
    first.remember(&mut remembered);
    remembered.token = None;
    let mut second = session(&server, Some(auth), &remembered);
    assert_eq!(second.token().await.unwrap().expose(), "fresh");
    let seen = server.requests();
    let count = |what: &str| seen.iter().filter(|request| request.contains(what)).count();
    assert_eq!((count("wrapping/unwrap"), count("approle/login")), (1, 2));
    let login = seen.iter().find(|request| request.contains("approle/login")).unwrap();
    assert!(login.contains(r#""secret_id":"unwrapped-id""#), "{login}");
}

#[tokio::test]
async fn a_wrapping_token_from_elsewhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = vault("secret/data/evil");
    let auth = approle(folder.path(), true);
    let mut session = session(&server, Some(auth), &Remembered::default());
    let error = session.token().await.unwrap_err().to_string();
    assert!(error.contains("made at \"secret/data/evil\" and not at auth/approle/"), "{error}");
    assert!(!server.requests().iter().any(|request| request.contains("unwrap HTTP")));
}

#[tokio::test]
async fn no_way_in_says_what_to_set() {
    let server = vault("");
    let mut nobody = session(&server, None, &Remembered::default());
    let error = nobody.token().await.unwrap_err().to_string();
    assert!(error.contains("VAULT_TOKEN") && error.contains(&server.address()), "{error}");
    let gone = Auth::TokenFile("/nowhere/token".into());
    let mut gone = session(&server, Some(gone), &Remembered::default());
    let error = gone.token().await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/token: No such file"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let plain = approle(folder.path(), false);
    let mut plain = session(&server, Some(plain), &Remembered::default());
    plain.token().await.unwrap();
    let login = server.requests().pop().unwrap();
    assert!(login.contains(r#""secret_id":"delivered""#), "{login}");
}
