//! One Vault server, initialised and unsealed by the harness.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, call, spawn, vault_program};
use crate::ports::Offset;
use crate::process::{Guard, tail};
use crate::wait;

/// The harness's port, to which the offset is added.
const HTTP: u16 = 9870;

/// The port for TLS with client certificates, where that is served.
const HTTPS: u16 = 9868;

/// Where Vault keeps what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In memory: gone with the process.
    Memory,
    /// In files, which stay over a stop and a start.
    Files,
}

/// The server.
#[derive(Debug)]
pub struct Vault {
    process: Option<Guard>,
    offset: Offset,
    folder: TempDir,
    storage: Storage,
    /// The token that may do everything.
    pub root: String,
    unseal_key: String,
}

impl Vault {
    /// Starts one, initialises and unseals it.
    ///
    /// # Errors
    /// There is no program.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn start(storage: Storage) -> Result<Self, String> {
        vault_program()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let (root, unseal_key) = (String::new(), String::new());
        let offset = Offset::take();
        let mut vault = Self { process: None, offset, folder, storage, root, unseal_key };
        vault.spawn();
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let made = vault.must("PUT", "/v1/sys/init", Some(&shares));
        vault.root = made["root_token"].as_str().expect("a root token").to_owned();
        vault.unseal_key = made["keys"][0].as_str().expect("a key").to_owned();
        vault.unseal();
        Ok(vault)
    }

    fn spawn(&mut self) {
        let config = self.folder.path().join("vault.hcl");
        let storage = match self.storage {
            Storage::Memory => "storage \"inmem\" {}".to_owned(),
            Storage::Files => {
                let data = self.folder.path().join("data");
                format!("storage \"file\" {{\n  path = \"{}\"\n}}", data.display())
            }
        };
        let text = format!(
            "{storage}\nlistener \"tcp\" {{\n  address = \"{}\"\n  tls_disable = true\n}}\n\
             disable_mlock = true\nlog_level = \"warn\"\napi_addr = \"http://{}\"\n{}",
            self.address(),
            self.address(),
            self.tls_listener(),
        );
        fs::write(&config, text).expect("a config file");
        let mut command = Command::new(vault_program().expect("built before"));
        command.arg("server").arg("-config").arg(&config);
        self.process = Some(spawn(&mut command, &self.log()));
        wait::until("an answer of Vault", PATIENCE, || {
            let status = self.process.as_mut().and_then(Guard::status);
            assert!(status.is_none(), "Vault ended: {}", tail(&self.log()));
            self.call("GET", "/v1/sys/seal-status", None).ok().filter(|(status, _)| *status == 200)
        });
    }

    fn tls_listener(&self) -> String {
        let folder = self.folder.path().join("tls");
        if !folder.exists() {
            return String::new();
        }
        let folder = folder.display();
        format!(
            "listener \"tcp\" {{\n  address = \"127.0.0.1:{}\"\n  \
             tls_cert_file = \"{folder}/server.pem\"\n  tls_key_file = \"{folder}/server.key\"\n  \
             tls_client_ca_file = \"{folder}/ca.pem\"\n  \
             tls_require_and_verify_client_cert = true\n}}\n",
            self.tls_port()
        )
    }

    /// Starts it again (on its files) with a second listener: TLS, for clients with a certificate
    /// of its own PKI. In the folder given back: `ca.pem`, the pairs `server`, `client` and
    /// `stranger` (of another authority) as `.pem` and `.key`, and `other-ca.pem`.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn serve_tls(&mut self) -> PathBuf {
        let folder = self.folder.path().join("tls");
        fs::create_dir(&folder).expect("a folder");
        self.authority("other");
        let write = |name: &str, text: &Value| {
            let text = text.as_str().expect("PEM");
            fs::write(folder.join(name), text).expect("a file");
        };
        for (mount, ca) in [("pki", "ca.pem"), ("other", "other-ca.pem")] {
            let answer = self.must("GET", &format!("/v1/{mount}/cert/ca"), None);
            write(ca, &answer["data"]["certificate"]);
        }
        for (mount, name) in [("pki", "server"), ("pki", "client"), ("other", "stranger")] {
            let subject = json!({"common_name": name, "ip_sans": "127.0.0.1", "ttl": "24h"});
            let answer = self.must("POST", &format!("/v1/{mount}/issue/node"), Some(&subject));
            write(&format!("{name}.pem"), &answer["data"]["certificate"]);
            write(&format!("{name}.key"), &answer["data"]["private_key"]);
        }
        self.stop();
        self.launch();
        folder
    }

    /// The port for TLS.
    pub fn tls_port(&self) -> u16 {
        self.offset.port(HTTPS)
    }

    /// Starts it again on its files and unseals it.
    pub fn launch(&mut self) {
        self.spawn();
        self.unseal();
    }

    /// Stops it.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::SIGINT);
            process.wait(PATIENCE);
        }
    }

    /// Unseals it, and waits until it works.
    pub fn unseal(&self) {
        self.must("PUT", "/v1/sys/unseal", Some(&json!({"key": self.unseal_key})));
        wait::until("an active Vault", PATIENCE, || {
            self.call("GET", "/v1/sys/health", None).ok().filter(|(status, _)| *status == 200)
        });
    }

    /// Seals it: it answers 503 until it is unsealed.
    pub fn seal(&self) {
        self.must("PUT", "/v1/sys/seal", None);
    }

    /// Where it logs.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("vault.log")
    }

    /// `HOST:PORT` of its API.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.offset.port(HTTP))
    }

    /// A call of its API as root.
    ///
    /// # Errors
    /// Nobody answers.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> std::io::Result<(u16, Value)> {
        call(&self.address(), method, path, &[("X-Vault-Token", &self.root)], body)
    }

    /// A call that must succeed; what it answers.
    ///
    /// # Panics
    /// When it does not.
    pub fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, value) = self.call(method, path, body).expect("Vault answers");
        assert!(status < 300, "{method} {path}: {status} {value}");
        value
    }

    /// Enables a KV engine of a version and PKI engine with a root, as most tests need.
    pub fn furnish(&self) {
        let kv = |version: &str| json!({"type": "kv", "options": {"version": version}});
        self.must("POST", "/v1/sys/mounts/secret", Some(&kv("2")));
        // A new engine of version 2 refuses all for a moment.
        wait::until("the KV engine", PATIENCE, || {
            self.call("GET", "/v1/secret/config", None).ok().filter(|(status, _)| *status == 200)
        });
        self.must("POST", "/v1/sys/mounts/old", Some(&kv("1")));
        self.authority("pki");
        let policy = json!({"policy": r#"
            path "secret/*" { capabilities = ["read", "list"] }
            path "old/*" { capabilities = ["read"] }
            path "pki/issue/*" { capabilities = ["update"] }
            path "consul/creds/*" { capabilities = ["read"] }
            path "sys/leases/revoke" { capabilities = ["update"] }
        "#});
        self.must("PUT", "/v1/sys/policies/acl/howdah", Some(&policy));
    }

    /// Enables a PKI engine with a root, and a role `node` for any name.
    fn authority(&self, mount: &str) {
        self.must("POST", &format!("/v1/sys/mounts/{mount}"), Some(&json!({"type": "pki"})));
        let authority = json!({"common_name": format!("harness {mount}"), "ttl": "87600h"});
        self.must("POST", &format!("/v1/{mount}/root/generate/internal"), Some(&authority));
        let role = json!({"allow_any_name": true, "max_ttl": "72h", "key_type": "ec",
            "key_bits": 256});
        self.must("POST", &format!("/v1/{mount}/roles/node"), Some(&role));
    }

    /// A token of the policy that [`Vault::furnish`] made.
    ///
    /// # Panics
    /// When Vault refuses.
    pub fn token(&self, ttl: &str) -> String {
        let body = json!({"policies": ["howdah"], "ttl": ttl});
        let answer = self.must("POST", "/v1/auth/token/create", Some(&body));
        answer["auth"]["client_token"].as_str().expect("a token").to_owned()
    }
}
