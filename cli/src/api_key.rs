//! API keys: `lh_<id>_<secret>`.
//!
//! The id is public. The secret has 256 random bits, so an unsalted SHA-256 of the whole key, which
//! is all that the store keeps, cannot be reversed. A key is shown once, when it is created; a lost
//! key is replaced by a new one.

use longhaul_domain::KeyId;
use longhaul_runtime::{IdSource, Secret};
use sha2::{Digest, Sha256};

/// Digits and letters, without `i`, `l`, `o` and `u`, which are easily misread.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BITS_PER_CHAR: u32 = 5;
const ID_CHARS: usize = 12;
/// Characters that encode half of the secret: 128 bits.
const HALF_SECRET_CHARS: usize = 26;

/// A new key.
#[derive(Debug)]
pub struct ApiKey {
    /// The public part, which names it.
    pub id: KeyId,
    /// The whole key, to be shown once.
    pub text: Secret,
}

impl ApiKey {
    /// Generates a key.
    pub fn generate(ids: &dyn IdSource) -> Self {
        let id = encode(ids.random_u128(), ID_CHARS);
        // The source gives 128 bits at a time.
        let secret: String = [ids.random_u128(), ids.random_u128()]
            .into_iter()
            .map(|half| encode(half, HALF_SECRET_CHARS))
            .collect();
        Self { text: Secret::new(format!("lh_{id}_{secret}")), id: KeyId(id) }
    }

    /// The stored form: SHA-256 of the whole key.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.expose().as_bytes()).into()
    }
}

fn encode(mut number: u128, chars: usize) -> String {
    let mut text = String::with_capacity(chars);
    for _ in 0..chars {
        // The remainder is below 32, the size of the alphabet.
        text.push(char::from(ALPHABET[(number % 32) as usize]));
        number >>= BITS_PER_CHAR;
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
    fn keys_are_random() {
        let (one, two) = (ApiKey::generate(&SystemIds), ApiKey::generate(&SystemIds));
        assert_ne!(one.id, two.id);
        assert_ne!(one.hash(), two.hash());
    }

    #[test]
    fn the_stored_form_is_the_sha_256_of_the_whole_key() {
        let key = ApiKey { id: KeyId("a".into()), text: Secret::new("abc".to_owned()) };
        assert_eq!(key.hash()[..4], [0xba, 0x78, 0x16, 0xbf]);
    }

    #[test]
    fn every_bit_of_the_random_number_is_encoded() {
        assert_ne!(encode(0, HALF_SECRET_CHARS), encode(1 << 127, HALF_SECRET_CHARS));
    }

    #[test]
    fn debug_output_hides_the_key() {
        assert!(!format!("{:?}", ApiKey::generate(&SystemIds)).contains("lh_"));
    }
}
