//! Password hashes: argon2id in the PHC string format, at the second recommended setting of RFC 9106 section 4.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use mail::Secret;
use subtle::ConstantTimeEq;

/// Memory in KiB, passes and lanes of new hashes: 64 MiB, 3, 4.
const SETTING: (u32, u32, u32) = (64 << 10, 3, 4);

/// The most memory a stored hash may ask for, in KiB: a hand-made hash must not take the machine down.
const MOST_MEMORY: u32 = 256 << 10;

const SALT_LENGTH: usize = 16;
const HASH_LENGTH: usize = 32;

/// Why there is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// The text is not `$argon2id$v=19$m=..,t=..,p=..$salt$hash` within bounds.
    #[error("the stored password hash is damaged")]
    Damaged,
    /// The system gave no random numbers or no memory.
    #[error("the system has no random numbers or no memory left")]
    Exhausted,
}

/// A salted hash of a password. `Display` gives the PHC string that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordHash {
    setting: (u32, u32, u32),
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl PasswordHash {
    /// Hashes a password with a new salt. Takes 64 MiB and a good part of a second.
    ///
    /// # Errors
    /// [`PasswordHashError::Exhausted`].
    pub fn of(password: &Secret) -> Result<Self, PasswordHashError> {
        let mut salt = vec![0; SALT_LENGTH];
        getrandom::fill(&mut salt).map_err(|_| PasswordHashError::Exhausted)?;
        let hash = compute(SETTING, &salt, password, HASH_LENGTH).ok_or(PasswordHashError::Exhausted)?;
        Ok(Self { setting: SETTING, salt, hash })
    }

    /// Whether this is the hash of `password`. Takes as long for a wrong one.
    #[must_use]
    pub fn matches(&self, password: &Secret) -> bool {
        compute(self.setting, &self.salt, password, self.hash.len()).is_some_and(|hash| hash.ct_eq(&self.hash).into())
    }
}

fn compute((memory, passes, lanes): (u32, u32, u32), salt: &[u8], password: &Secret, length: usize) -> Option<Vec<u8>> {
    let parameters = Params::new(memory, passes, lanes, Some(length)).ok()?;
    let mut hash = vec![0; length];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
    argon2.hash_password_into(password.expose(), salt, &mut hash).ok()?;
    Some(hash)
}

impl std::fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (memory, passes, lanes) = self.setting;
        let (salt, hash) = (BASE64.encode(&self.salt), BASE64.encode(&self.hash));
        write!(f, "$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}")
    }
}

impl std::str::FromStr for PasswordHash {
    type Err = PasswordHashError;

    fn from_str(text: &str) -> Result<Self, PasswordHashError> {
        parse(text).ok_or(PasswordHashError::Damaged)
    }
}

fn parse(text: &str) -> Option<PasswordHash> {
    let mut fields = text.strip_prefix("$argon2id$v=19$")?.split('$');
    let mut numbers = fields.next()?.split(',');
    let mut number = |name: &str| -> Option<u32> { numbers.next()?.strip_prefix(name)?.strip_prefix('=')?.parse().ok() };
    let setting = (number("m")?, number("t")?, number("p")?);
    let salt = BASE64.decode(fields.next()?).ok()?;
    let hash = BASE64.decode(fields.next()?).ok()?;
    let bounded = setting.0 <= MOST_MEMORY && setting.1 <= 64 && salt.len() <= 64 && (16..=64).contains(&hash.len());
    let whole = numbers.next().is_none() && fields.next().is_none();
    (bounded && whole).then_some(PasswordHash { setting, salt, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_stored_and_recognises_its_password_alone() {
        let hash = PasswordHash::of(&Secret::new("tea")).unwrap();
        let text = hash.to_string();
        assert!(text.starts_with("$argon2id$v=19$m=65536,t=3,p=4$"), "{text}");
        let stored: PasswordHash = text.parse().unwrap();
        assert!(stored.matches(&Secret::new("tea")));
        assert!(!stored.matches(&Secret::new("tee")));
    }

    #[test]
    fn a_hash_of_the_reference_program_is_accepted() {
        // A vector of the reference implementation (phc-winner-argon2, test.c).
        let text = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(text.parse::<PasswordHash>().unwrap().matches(&Secret::new("password")));
    }

    #[test]
    fn damaged_hashes_are_errors() {
        for text in [
            "",
            "x",
            "$argon2id$v=19$m=1$a$b",
            "$argon2id$v=19$m=4294967295,t=3,p=4$c29tZXNhbHQ$c29tZXNhbHRzb21lc2FsdA",
            "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        ] {
            assert_eq!(text.parse::<PasswordHash>(), Err(PasswordHashError::Damaged), "{text}");
        }
    }
}
