//! How the agent stands with Vault, as status and metrics show it: times left and paths.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::sources::vault::Standing;

/// One metric family's samples: labels and value.
pub type Samples = Vec<(String, f64)>;

fn left(end: SystemTime, now: SystemTime) -> f64 {
    end.duration_since(now).unwrap_or_default().as_secs_f64()
}

/// The text of a label, escaped as Prometheus wants it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// For `/v1/status`; times left in whole seconds, `null` where something has no end.
pub fn json(standing: &Standing, now: SystemTime) -> Value {
    let seconds = |end: SystemTime| left(end, now) as u64;
    let leases: Vec<Value> = standing
        .leases
        .iter()
        .map(|(path, end)| json!({ "path": path, "ttl_seconds": seconds(*end) }))
        .collect();
    let certificates: Vec<Value> = standing
        .certificates
        .iter()
        .map(|((path, name), end)| {
            json!({ "path": path, "common_name": name, "ttl_seconds": seconds(*end) })
        })
        .collect();
    json!({
        "logged_in": standing.logged_in,
        "token_ttl_seconds": standing.token_expires.map(seconds),
        "leases": leases,
        "certificates": certificates,
        "first_certificate_ttl_seconds": standing.first_certificate().map(seconds),
    })
}

/// For Prometheus: names, help and samples of all families; times left in seconds.
pub fn metrics(standing: &Standing, now: SystemTime) -> [(&'static str, &'static str, Samples); 4] {
    let token = standing.token_expires.map(|end| (String::new(), left(end, now)));
    let leases = standing.leases.iter();
    let leases = leases.map(|(path, end)| (format!("path=\"{}\"", label(path)), left(*end, now)));
    let certificates = standing.certificates.iter().map(|((path, name), end)| {
        let labels = format!("path=\"{}\",common_name=\"{}\"", label(path), label(name));
        (labels, left(*end, now))
    });
    let logged_in = f64::from(u8::from(standing.logged_in));
    [
        (
            "agent_vault_logged_in",
            "Whether the agent has a token.",
            vec![(String::new(), logged_in)],
        ),
        (
            "agent_vault_token_ttl_seconds",
            "What is left of the token's life.",
            token.into_iter().collect(),
        ),
        ("agent_lease_ttl_seconds", "What is left of a lease.", leases.collect()),
        (
            "agent_cert_expiry_seconds",
            "What is left of a certificate's life.",
            certificates.collect(),
        ),
    ]
}

/// What `howdah status` prints of it: one line.
pub fn line(vault: &Value) -> String {
    let mut parts = Vec::new();
    parts.push(if vault["logged_in"] == true { "logged in" } else { "not logged in" }.to_owned());
    if let Some(seconds) = vault["token_ttl_seconds"].as_u64() {
        parts.push(format!("token for {seconds} s"));
    }
    for lease in vault["leases"].as_array().into_iter().flatten() {
        let path = lease["path"].as_str().unwrap_or_default();
        parts.push(format!("lease {path} for {} s", lease["ttl_seconds"]));
    }
    if let Some(seconds) = vault["first_certificate_ttl_seconds"].as_u64() {
        let count = vault["certificates"].as_array().map_or(0, Vec::len);
        parts.push(format!("{count} certificates, the first ends in {seconds} s"));
    }
    format!("vault: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shows_times_left() {
        let now = SystemTime::now();
        let end = |seconds| now + Duration::from_secs(seconds);
        let name = |name: &str| ("pki/issue/node".to_owned(), name.to_owned());
        let standing = Standing {
            logged_in: true,
            token_expires: Some(end(3600)),
            leases: [("db/creds/a\"b".to_owned(), end(60))].into(),
            certificates: [(name("dn1"), end(90)), (name("dn2"), end(30))].into(),
        };
        let told = line(&json(&standing, now));
        assert_eq!(
            told,
            "vault: logged in, token for 3600 s, lease db/creds/a\"b for 60 s, \
             2 certificates, the first ends in 30 s"
        );
        let [_, token, lease, certificates] = metrics(&standing, now);
        assert_eq!(token.2, [(String::new(), 3600.0)]);
        assert_eq!(lease.2, [("path=\"db/creds/a\\\"b\"".to_owned(), 60.0)]);
        assert_eq!(certificates.2.len(), 2);
        // What has ended has nothing left, and nothing goes below that.
        assert_eq!(metrics(&standing, end(7200))[1].2[0].1, 0.0);
        assert_eq!(line(&json(&Standing::default(), now)), "vault: not logged in");
    }
}
