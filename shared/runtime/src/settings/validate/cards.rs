//! `[cards]`: what a card must be able to say, and where keys are.

use super::{super::sections::AgentCardSettings, Check, Checked, is_public_url};

impl Check<'_> {
    pub(super) fn cards(&self, cards: &AgentCardSettings) -> Checked {
        for (key, paths) in
            [("signing_keys", &cards.signing_keys), ("published_keys", &cards.published_keys)]
        {
            for (at, path) in paths.iter().enumerate() {
                let key = format!("cards.{key}[{at}]");
                self.ensure(!path.is_empty(), &key, "is empty", "the path of a PEM file")?;
            }
        }
        self.about(cards)?;
        match &cards.jku {
            Some(url) => self.ensure(
                is_public_url(url),
                "cards.jku",
                "is not such a URL",
                "a URL that begins with http:// or https://, without query and fragment",
            ),
            None => Ok(()),
        }
    }

    /// A provider has a name and a site (A2A 4.4.2).
    fn about(&self, cards: &AgentCardSettings) -> Checked {
        let (name, site) = (cards.provider.as_deref(), cards.provider_url.as_ref());
        let named = name.is_some_and(|name| !name.trim().is_empty());
        self.ensure(
            name.is_none() || named,
            "cards.provider",
            "is empty",
            "the name of who runs it",
        )?;
        let alone = "needs the other of the two";
        let both = "cards.provider together with cards.provider_url";
        self.ensure(name.is_none() || site.is_some(), "cards.provider", alone, both)?;
        self.ensure(site.is_none() || named, "cards.provider_url", alone, both)?;
        for (key, url) in [
            ("cards.provider_url", &cards.provider_url),
            ("cards.documentation_url", &cards.documentation_url),
            ("cards.icon_url", &cards.icon_url),
        ] {
            let good = url.as_deref().is_none_or(is_web_url);
            let allowed = "a URL that begins with http:// or https://";
            self.ensure(good, key, "is not such a URL", allowed)?;
        }
        Ok(())
    }
}

/// Whether a browser can open it.
fn is_web_url(url: &str) -> bool {
    let place = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    place.is_some_and(|place| {
        !place.is_empty()
            && !place.starts_with(['/', ':', '?', '#'])
            && place.bytes().all(|byte| byte.is_ascii_graphic())
    })
}
