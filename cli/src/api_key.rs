//! API keys: `lh_<id>_<secret>`.
//!
//! The id is public. The secret has 256 random bits, so that a plain SHA-256 of the whole key, which is all that is
//! stored, gives nothing away. A key is shown once, when it is made; who loses it makes another.

use longhaul_domain::KeyId;
use longhaul_runtime::{IdSource, Secret};
use sha2::{Digest, Sha256};

/// Digits and letters without those that are taken for one another.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BITS: u32 = 5;
const ID_LENGTH: usize = 12;
/// Characters that hold 128 bits.
const HALF_SECRET: usize = 26;

/// A key that was made just now.
#[derive(Debug)]
pub struct ApiKey {
    /// Its public name.
    pub id: KeyId,
    /// All of it, to be shown once.
    pub text: Secret,
}

impl ApiKey {
    /// Makes a key.
    pub fn generate(ids: &dyn IdSource) -> Self {
        let id = encode(ids.random_u128(), ID_LENGTH);
        let secret: String = [ids.random_u128(), ids.random_u128()]
            .into_iter()
            .map(|half| encode(half, HALF_SECRET))
            .collect();
        Self { text: Secret::new(format!("lh_{id}_{secret}")), id: KeyId(id) }
    }

    /// What is stored: SHA-256 of the whole key.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.expose().as_bytes()).into()
    }
}

fn encode(mut number: u128, length: usize) -> String {
    let mut text = String::with_capacity(length);
    for _ in 0..length {
        // The remainder is below 32, so it fits and is in the alphabet.
        text.push(char::from(ALPHABET[(number % 32) as usize]));
        number >>= BITS;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_runtime::SystemIds;

    #[test]
    fn a_key_names_its_id_and_has_a_long_secret() {
        let key = ApiKey::generate(&SystemIds);
        let parts: Vec<&str> = key.text.expose().split('_').collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(parts[0], "lh");
        assert_eq!(parts[1], key.id.0);
        assert_eq!((parts[1].len(), parts[2].len()), (12, 52));
        assert!(
            key.text
                .expose()
                .bytes()
                .all(|byte| byte == b'_' || ALPHABET.contains(&byte) || byte == b'l')
        );
    }

    #[test]
    fn no_two_keys_are_alike() {
        let (one, two) = (ApiKey::generate(&SystemIds), ApiKey::generate(&SystemIds));
        assert_ne!(one.id, two.id);
        assert_ne!(one.hash(), two.hash());
    }

    #[test]
    fn what_is_stored_is_the_sha_256_of_the_whole_key() {
        let key = ApiKey { id: KeyId("a".into()), text: Secret::new("abc".to_owned()) };
        assert_eq!(key.hash()[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn every_bit_of_the_random_number_counts() {
        assert_ne!(encode(0, HALF_SECRET), encode(1 << 127, HALF_SECRET));
    }

    #[test]
    fn a_key_does_not_print_by_accident() {
        assert!(!format!("{:?}", ApiKey::generate(&SystemIds)).contains("lh_"));
    }
}
