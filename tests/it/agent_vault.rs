//! The whole agent with a real Consul and a real Vault: keytabs and TLS pairs on the disk, outages,
//! leases, and that no secret is seen anywhere else.

mod host;
mod secrecy;

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::json;
use tests::stack::{Fault, Proxy};
use tests::wait;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use host::{Host, owner_and_mode};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon after a repair the newest value must be in force.
const HEALED: Duration = Duration::from_secs(5);

/// A keytab as Kerberos writes it: version 5.2 and bytes that are no text.
const KEYTAB: [u8; 12] = [5, 2, 0, 0, 0, 0x42, 0, 0xff, 0xfe, 0x80, 0xc3, 0x28];
const KEYTAB_BASE64: &str = "BQIAAABCAP/+gMMo";

/// Key and certificate with its chain: one object of Vault in two files.
fn pair(name: &str, ttl: &str) -> String {
    let cert = |fields: &str| {
        format!(
            "{{{{#with (cert \"pki/issue/node\" common_name=\"{name}\" ttl=\"{ttl}\")}}}}\
                 {fields}{{{{/with}}}}"
        )
    };
    let file = |end: &str, fields: &str| {
        format!("file \"{name}.{end}\" {{\n template = <<T\n{}\nT\n}}\n", cert(fields))
    };
    file("key", "{{private_key}}") + &file("crt", "{{certificate}}\n{{ca_chain}}")
}

/// Checks that key and certificate of a folder are a pair; when it ends, and its serial number.
fn check_pair(folder: &Path, name: &str) -> (SystemTime, String) {
    let (key, chain) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.crt")));
    let own = nix::unistd::geteuid().as_raw();
    assert_eq!(owner_and_mode(&key), (own, 0o600), "{}", key.display());
    assert_eq!(owner_and_mode(&chain), (own, 0o600), "{}", chain.display());
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(&chain).expect("a chain").collect();
    let certificates = certificates.expect("certificates");
    assert!(certificates.len() >= 2, "leaf and issuer");
    let key = PrivateKeyDer::from_pem_file(&key).expect("a key");
    let leaf = certificates[0].clone();
    let provider = rustls::crypto::ring::default_provider();
    if let Err(error) = CertifiedKey::from_der(certificates, key, &provider) {
        panic!("a mixed pair in {}: {error}", folder.display());
    }
    let (_, leaf) = X509Certificate::from_der(&leaf).expect("a certificate");
    let end = u64::try_from(leaf.validity().not_after.timestamp()).expect("after 1970");
    (UNIX_EPOCH + Duration::from_secs(end), leaf.raw_serial_as_string())
}

#[test]
fn agent_vault_keytab_and_a_pair_that_is_renewed_and_never_mixed() {
    let mut host = Host::new(false);
    host.put_secret("hdfs/nn", "keytab", KEYTAB_BASE64);
    let auth = host.token_file(&host.vault.token("1h"));
    let keytab = "file \"nn.keytab\" {\n template = <<T\n\
                  {{base64Decode (secret \"secret/hdfs/nn\" \"keytab\")}}\nT\n}\n";
    let change = "change { reload = [\"short.*\"] }\n";
    let unit = [change, keytab, &pair("short", "8s"), &pair("long", "24h")].concat();
    host.configure(&host.vault.address(), &auth, &unit);
    host.start();
    let pid = host.running();
    let conf = host.path("state/units/app/conf");
    assert_eq!(fs::read(conf.join("nn.keytab")).expect("a keytab"), [&KEYTAB[..], b"\n"].concat());
    let own = nix::unistd::geteuid().as_raw();
    assert_eq!(owner_and_mode(&conf.join("nn.keytab")), (own, 0o600));
    let (_, long) = check_pair(&conf, "long");
    // Every generation there ever is holds a pair, and each comes before its forerunner ends.
    let (mut seen, mut last_end) = (0, None);
    wait::until("four pairs, one after the other", PATIENCE, || {
        for (number, folder) in host.generations().range(seen + 1..) {
            let (end, _) = check_pair(folder, "short");
            let late = last_end.is_some_and(|last| last < SystemTime::now());
            assert!(!late, "generation {number} came after the certificate before it ended");
            (seen, last_end) = (*number, Some(end));
        }
        let metrics = host.metrics();
        let line = "agent_cert_expiry_seconds{path=\"pki/issue/node\",common_name=\"short\"} ";
        let left = metrics.lines().find_map(|text| text.strip_prefix(line)).expect(line);
        assert!(left.parse::<f64>().expect("a number") > 0.0, "{left} s");
        (seen >= 4).then_some(())
    });
    wait::until("a reload for each", PATIENCE, || {
        (host.lines("reloads").len() as u64 == seen - 1).then_some(())
    });
    assert_eq!(host.running(), pid, "reloaded, never restarted");
    assert_eq!(check_pair(&conf, "long").1, long);
    // A restart of the agent uses what is still valid.
    host.stop();
    host.start();
    host.running();
    wait::until("another pair", PATIENCE, || {
        host.generations().keys().max().filter(|number| **number > seen).copied()
    });
    assert_eq!(check_pair(&conf, "long").1, long, "reused over a restart");
    let told = String::from_utf8(host.verb(&["status"]).stdout).expect("text");
    assert!(
        told.contains("vault: logged in, token for 3") && told.contains("2 certificates"),
        "{told}"
    );
}

/// A unit with one secret that asks for nothing when it changes: its process must live through all.
const QUIET: &str = "change { noop = [\"db.txt\"] }\n\
    file \"db.txt\" { template = \"{{secret \\\"secret/db\\\" \\\"password\\\"}}\" }\n";

#[test]
fn agent_vault_outages_leave_the_unit_alone() {
    let mut host = Host::new(false);
    let proxy = Proxy::start(&host.vault.address());
    host.put_secret("db", "password", "one");
    let auth = host.approle("first-secret-id");
    host.configure(proxy.address(), &auth, QUIET);
    host.start();
    let pid = host.running();
    host.until_rendered("db.txt", "one", PATIENCE);

    // The token is revoked: it logs in again.
    host.vault.must("POST", "/v1/sys/leases/revoke-prefix/auth/approle", None);
    host.put_secret("db", "password", "two");
    host.until_rendered("db.txt", "two", HEALED);

    // The secret id too: it says so, and a new one is enough.
    let gone = json!({"secret_id": "first-secret-id"});
    host.vault.must("POST", "/v1/auth/approle/role/hdfs/secret-id/destroy", Some(&gone));
    host.vault.must("POST", "/v1/sys/leases/revoke-prefix/auth/approle", None);
    let told = host.until_complaint("invalid role or secret ID");
    assert!(!told.contains("first-secret-id"), "{told}");
    assert_eq!(host.status()["vault"]["logged_in"], false);
    host.put_secret("db", "password", "three");
    host.new_secret_id("second-secret-id");
    host.until_rendered("db.txt", "three", HEALED);

    host.vault.seal();
    host.until_complaint("sealed");
    assert_eq!(host.rendered("db.txt").as_deref(), Some("three"));
    host.vault.unseal();
    host.put_secret("db", "password", "four");
    host.until_rendered("db.txt", "four", HEALED);

    let faults = [
        (Fault::Garbage, proxy.address().to_owned()),
        (Fault::Status(500), "500 Internal Server Error: injected".to_owned()),
        (Fault::Status(429), "429 Too Many Requests: injected".to_owned()),
        (Fault::Reset, proxy.address().to_owned()),
        (Fault::BlackHole, "no answer within 10 s".to_owned()),
    ];
    for (round, (fault, complaint)) in faults.into_iter().enumerate() {
        proxy.set(fault);
        let told = host.until_complaint(&complaint);
        assert!(told.contains(proxy.address()) && told.lines().count() == 1, "{told}");
        assert!(host.rendered("db.txt").is_some());
        host.put_secret("db", "password", &format!("after {round}"));
        proxy.set(Fault::None);
        host.until_rendered("db.txt", &format!("after {round}"), HEALED);
    }

    host.vault.stop();
    host.until_complaint(proxy.address());
    assert_eq!(host.running(), pid, "through all of it");
    assert_eq!(host.lines("starts").len(), 1);
    // A host that boots during an outage goes on with what it had.
    host.stop();
    host.start();
    wait::until("a start from the last good generation", PATIENCE, || {
        (host.status()["units"][0]["last_good_in_use"] == true).then_some(())
    });
    let pid = host.running();
    assert_eq!(host.rendered("db.txt").as_deref(), Some("after 4"));
    host.vault.launch();
    host.put_secret("db", "password", "back");
    host.until_rendered("db.txt", "back", HEALED);
    assert_eq!(host.running(), pid);
}

#[test]
fn agent_vault_a_rewritten_token_file_is_enough() {
    let mut host = Host::new(false);
    host.put_secret("db", "password", "one");
    let token = host.vault.token("1h");
    let auth = host.token_file(&token);
    host.configure(&host.vault.address(), &auth, QUIET);
    host.start();
    let pid = host.running();
    host.vault.must("POST", "/v1/auth/token/revoke", Some(&json!({"token": token})));
    let told = host.until_complaint("is revoked or expired; write a new one");
    assert!(told.contains("/token") && !told.contains(&token), "{told}");
    host.put_secret("db", "password", "two");
    host.write("token", &host.vault.token("1h"));
    host.until_rendered("db.txt", "two", HEALED);
    assert_eq!(host.running(), pid);
}

/// Roles of Vault that make Consul tokens, each with its policy of time.
fn consul_roles(host: &Host) {
    host.vault.must("POST", "/v1/sys/mounts/consul", Some(&json!({"type": "consul"})));
    let access = json!({"address": host.consul.address(), "token": "root"});
    host.vault.must("POST", "/v1/consul/config/access", Some(&access));
    for (name, ttl) in [("short", "3s"), ("long", "1h")] {
        let role = json!({"consul_policies": ["global-management"], "ttl": ttl, "max_ttl": "2h"});
        host.vault.must("POST", &format!("/v1/consul/roles/{name}"), Some(&role));
    }
}

#[test]
fn agent_vault_leases_survive_are_renewed_and_given_back() {
    let mut host = Host::new(true);
    consul_roles(&host);
    let auth = host.approle("a-secret-id");
    let creds = |role: &str| format!("{{{{secret \"consul/creds/{role}\" \"token\" lease=true}}}}");
    host.consul.put("templates/creds", &format!("{} {}", creds("short"), creds("long")));
    let unit = "file \"creds\" { template = \"kv:templates/creds\" }\n";
    host.configure(&host.vault.address(), &auth, unit);
    host.start();
    host.running();
    let tokens = host.rendered("creds").expect("credentials");
    let (short, long) = tokens.split_once(' ').expect("two tokens");
    let works = |host: &Host, token: &str| {
        let headers = [("X-Consul-Token", token)];
        let address = host.consul.address();
        let answer = tests::stack::call(&address, "GET", "/v1/acl/token/self", &headers, None);
        answer.expect("Consul answers").0 == 200
    };
    let metrics = host.metrics();
    assert!(metrics.contains("agent_lease_ttl_seconds{path=\"consul/creds/short\"} "), "{metrics}");
    assert!(metrics.contains("agent_vault_token_ttl_seconds 3"), "{metrics}");
    // Killed, stopped, and started again: the same credentials, long after their first time.
    for clean in [false, true] {
        let lease = host.status()["vault"]["leases"][1]["ttl_seconds"].as_u64();
        assert!(lease.is_some_and(|left| left <= 3), "{lease:?}");
        let metric = || host.status()["vault"]["leases"][1]["ttl_seconds"].as_u64();
        wait::until("a renewal", PATIENCE, || metric().filter(|left| *left < 2));
        wait::until("a renewal", PATIENCE, || metric().filter(|left| *left >= 2));
        if clean {
            host.stop();
        } else {
            host.kill();
        }
        assert!(works(&host, short) && works(&host, long), "an end gives nothing back");
        host.start();
        host.running();
        wait::until("a login", PATIENCE, || {
            (host.status()["vault"]["logged_in"] == true).then_some(())
        });
        assert_eq!(host.rendered("creds").as_deref(), Some(tokens.as_str()));
    }
    // A broken template takes nothing from the files in force.
    host.consul.put("templates/creds", "{{nothing}}");
    wait::until("a refusal", PATIENCE, || host.status()["units"][0]["refused"].as_str().map(drop));
    assert!(works(&host, short) && works(&host, long));
    // Nobody uses the long one any more: it is given back an hour before its end.
    host.consul.put("templates/creds", &creds("short"));
    host.until_rendered("creds", short, PATIENCE);
    let mut poke = 0;
    wait::until("the long token's end", PATIENCE, || {
        // What nudges the agent in between is any news.
        poke += 1;
        host.consul.put("templates/creds-other", &poke.to_string());
        (!works(&host, long)).then_some(())
    });
    assert!(works(&host, short));
    assert!(host.status()["vault"]["leases"].as_array().is_some_and(|leases| leases.len() == 1));
    // Revoked under our feet: other ones, as soon as that shows.
    host.vault.must("PUT", "/v1/sys/leases/revoke-prefix/consul/creds/short", None);
    wait::until("other credentials", PATIENCE, || {
        host.rendered("creds").filter(|token| token != short && works(&host, token))
    });
}
