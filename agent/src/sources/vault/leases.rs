//! What is remembered over a restart: certificates, leases, and the token that owns them. So a
//! restarted agent asks for nothing that it still has.
//!
//! `leases.enc`: 4 bytes `HWDL`, 1 byte version (1), 24 bytes nonce, then JSON sealed with
//! XChaCha20-Poly1305, the first 5 bytes authenticated with it. The key is the SHA-256 of a fixed
//! word and the 32 random bytes of `leases.key`. Both files are 0600. Without the key file, or
//! with one flipped bit, the file is worth nothing, and everything is asked for anew.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chacha20poly1305::aead::{Aead as _, Generate as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::auth::SavedToken;
use crate::actuators::durable;
use crate::sources::{Masked, Secret, SecretRef};

const HEAD: &[u8; 5] = b"HWDL\x01";
const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// Longest file taken: thousands of certificates.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A secret text within the file, which is sealed as a whole.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Saved(String);

impl Drop for Saved {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Saved {
    pub(super) fn new(masked: &Masked) -> Self {
        Self(masked.expose().to_owned())
    }

    pub(super) fn masked(&self) -> Masked {
        Masked::new(self.0.as_str())
    }
}

/// A lease of dynamic credentials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lease {
    pub(super) id: String,
    pub(super) renewable: bool,
    /// Seconds that it was first given for.
    pub(super) seconds: u64,
    /// Digest of the token that it was made with, and ends with.
    pub(super) token: String,
}

/// One secret as it is remembered.
#[derive(Serialize, Deserialize)]
pub(super) struct SavedSecret {
    path: String,
    /// The parameters of a certificate; `None` is credentials with a lease.
    params: Option<std::collections::BTreeMap<String, String>>,
    fields: std::collections::BTreeMap<String, Saved>,
    expires: Option<SystemTime>,
    pub(super) act_at: SystemTime,
    pub(super) lease: Option<Lease>,
}

impl SavedSecret {
    /// Of what can be used again; static secrets are simply read again.
    pub(super) fn new(
        wanted: &SecretRef,
        secret: &Secret,
        act_at: SystemTime,
        lease: Option<Lease>,
    ) -> Option<Self> {
        let (path, params) = match wanted {
            SecretRef::Kv { .. } => return None,
            SecretRef::Issue { path, params } => (path.clone(), Some(params.clone())),
            SecretRef::Read { path } => (path.clone(), None),
        };
        let fields = secret.fields.iter().map(|(k, v)| (k.clone(), Saved::new(v))).collect();
        Some(Self { path, params, fields, expires: secret.expires, act_at, lease })
    }

    /// What it answers, and the answer, if that has not run out.
    pub(super) fn restore(&self, now: SystemTime) -> Option<(SecretRef, Secret)> {
        if self.expires.is_some_and(|end| end <= now) {
            return None;
        }
        let path = self.path.clone();
        let wanted = match &self.params {
            Some(params) => SecretRef::Issue { path, params: params.clone() },
            None => SecretRef::Read { path },
        };
        let fields = self.fields.iter().map(|(k, v)| (k.clone(), v.masked())).collect();
        Some((wanted, Secret { fields, version: None, expires: self.expires }))
    }
}

/// All that is remembered.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// Digest of server, namespace and identity: of others nothing is used.
    pub(super) owner: String,
    pub(super) token: Option<SavedToken>,
    /// Digest of the wrapping token, and the secret id it gave.
    pub(super) secret_id: Option<(String, Saved)>,
    pub(super) secrets: Vec<SavedSecret>,
}

/// The two files.
#[derive(Debug)]
pub(super) struct LeaseFile {
    path: PathBuf,
    cipher_key: Zeroizing<[u8; KEY_BYTES]>,
}

impl LeaseFile {
    /// In a folder, which is made; the key is made when there is none.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let path = folder.join("leases.key");
        let random = match fs::read(&path) {
            Ok(bytes) if bytes.len() == KEY_BYTES => Zeroizing::new(bytes),
            Ok(bytes) => {
                let length = bytes.len();
                tracing::warn!(path = %path.display(), length, "a damaged key is replaced");
                make_key(&path)?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => make_key(&path)?,
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let mut hasher = Sha256::new();
        hasher.update(b"howdah leases 1");
        hasher.update(random.as_slice());
        let cipher_key = Zeroizing::new(hasher.finalize().into());
        Ok(Self { path: folder.join("leases.enc"), cipher_key })
    }

    /// In a folder where another process keeps it; nothing is made.
    pub(super) fn find(folder: &Path) -> Result<Self, String> {
        let key = folder.join("leases.key");
        match fs::metadata(&key) {
            Ok(_) => Self::open(folder),
            Err(error) => Err(format!("{}: {error}", key.display())),
        }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.cipher_key))
    }

    /// What was remembered for this owner. A file that cannot be used is ignored loudly.
    pub(super) fn load(&self, owner: &str) -> Remembered {
        match self.read() {
            Ok(Some(remembered)) if remembered.owner == owner => remembered,
            Ok(_) => Remembered::default(),
            Err(what) => {
                let path = self.path.display();
                tracing::warn!(%path, what, "the lease file is ignored; all is asked for anew");
                Remembered::default()
            }
        }
    }

    fn read(&self) -> Result<Option<Remembered>, String> {
        let length = match fs::metadata(&self.path) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if length > FILE_BYTES_MAX {
            return Err(format!("{length} bytes are too many"));
        }
        let bytes = fs::read(&self.path).map_err(|error| error.to_string())?;
        let sealed = bytes.strip_prefix(HEAD).ok_or("it is of another kind or version")?;
        let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES).ok_or("it is cut")?;
        let nonce = XNonce::try_from(nonce).map_err(|_| "it is cut")?;
        let payload = Payload { msg: sealed, aad: HEAD };
        let plain = self.cipher().decrypt(&nonce, payload);
        let plain = Zeroizing::new(plain.map_err(|_| "it is damaged, or of another key")?);
        let remembered = serde_json::from_slice(&plain);
        remembered
            .map(Some)
            .map_err(|error| format!("its shape is unknown ({:?})", error.classify()))
    }

    /// Replaces what is remembered.
    pub(super) fn save(&self, remembered: &Remembered) -> Result<(), String> {
        let plain = serde_json::to_vec(remembered).map_err(|error| error.to_string())?;
        let plain = Zeroizing::new(plain);
        let nonce = XNonce::generate();
        let payload = Payload { msg: &plain, aad: HEAD };
        let sealed = self.cipher().encrypt(&nonce, payload);
        let sealed = sealed.map_err(|_| format!("{}: cannot be sealed", self.path.display()))?;
        let bytes = [HEAD.as_slice(), nonce.as_slice(), &sealed].concat();
        durable::write(&self.path, &bytes, 0o600).map_err(|error| error.to_string())
    }
}

fn make_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let key = Key::generate();
    durable::write(path, key.as_slice(), 0o600).map_err(|error| error.to_string())?;
    Ok(Zeroizing::new(key.to_vec()))
}

/// A short digest by which a credential can be recognised and not be found.
pub(super) fn digest(secret: &Masked) -> String {
    let digest = Sha256::digest(secret.expose());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    fn remembered() -> Remembered {
        let wanted = SecretRef::Issue {
            path: "pki/issue/node".to_owned(),
            params: BTreeMap::from([("common_name".to_owned(), "dn1".to_owned())]),
        };
        let fields = BTreeMap::from([("private_key".to_owned(), Masked::new("planted-key"))]);
        let expires = Some(SystemTime::now() + Duration::from_secs(60));
        let secret = Secret { fields, version: None, expires };
        let saved = SavedSecret::new(&wanted, &secret, SystemTime::now(), None).unwrap();
        let secret_id = Some(("d".to_owned(), Saved::new(&Masked::new("planted-id"))));
        Remembered { owner: "me".to_owned(), token: None, secret_id, secrets: vec![saved] }
    }

    #[test]
    fn comes_back_sealed_and_only_to_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        LeaseFile::open(folder.path()).unwrap().save(&remembered()).unwrap();
        let file = LeaseFile::open(folder.path()).unwrap();
        let back = file.load("me");
        let (wanted, secret) = back.secrets[0].restore(SystemTime::now()).unwrap();
        assert!(matches!(wanted, SecretRef::Issue { path, .. } if path == "pki/issue/node"));
        assert_eq!(secret.fields["private_key"].expose(), "planted-key");
        let later = SystemTime::now() + Duration::from_secs(61);
        assert!(back.secrets[0].restore(later).is_none());
        assert!(file.load("another").secrets.is_empty());
        for name in ["leases.enc", "leases.key"] {
            let path = folder.path().join(name);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            let bytes = fs::read(&path).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("planted"), "{name}");
        }
    }

    #[test]
    fn any_damage_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let file = LeaseFile::open(folder.path()).unwrap();
        assert!(file.load("me").secrets.is_empty(), "no file is nothing");
        file.save(&remembered()).unwrap();
        let path = folder.path().join("leases.enc");
        let good = fs::read(&path).unwrap();
        for position in (0..good.len()).step_by(7) {
            let mut bad = good.clone();
            bad[position] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(file.load("me").secrets.is_empty(), "flipped at {position}");
            fs::write(&path, &good[..position]).unwrap();
            assert!(file.load("me").secrets.is_empty(), "cut at {position}");
        }
        fs::write(&path, &good).unwrap();
        fs::write(folder.path().join("leases.key"), "short").unwrap();
        assert!(LeaseFile::open(folder.path()).unwrap().load("me").secrets.is_empty());
    }
}
