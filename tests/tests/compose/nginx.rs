//! Reads an nginx configuration as far as the rules need it.

/// One directive with its arguments and the blocks around it.
#[derive(Debug, PartialEq, Eq)]
pub struct Directive {
    /// The blocks around it, outermost first, each with its arguments: `["http", "upstream api"]`.
    pub within: Vec<String>,
    pub name: String,
    pub arguments: Vec<String>,
}

/// All directives of a configuration.
#[derive(Debug)]
pub struct Nginx(pub Vec<Directive>);

impl Nginx {
    pub fn parse(text: &str) -> Self {
        let (mut found, mut within, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for token in tokens(text) {
            match token.as_str() {
                "{" => within.push(std::mem::take(&mut words).join(" ")),
                "}" => drop(within.pop()),
                ";" => {
                    let mut words = std::mem::take(&mut words).into_iter();
                    if let Some(name) = words.next() {
                        let arguments = words.collect();
                        found.push(Directive { within: within.clone(), name, arguments });
                    }
                }
                _ => words.push(token),
            }
        }
        Self(found)
    }

    /// The arguments of every directive of this name, joined by spaces.
    pub fn all(&self, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|directive| directive.name == name);
        found.map(|directive| directive.arguments.join(" ")).collect()
    }

    /// The arguments of the directives of this name, where all have the same.
    pub fn only(&self, name: &str) -> Option<String> {
        let mut all = self.all(name);
        all.dedup();
        if all.len() == 1 { all.pop() } else { None }
    }

    /// The value that `directive` (`proxy_set_header`, `grpc_set_header`) gives to the header
    /// `name`.
    pub fn header(&self, directive: &str, name: &str) -> Option<&str> {
        let set = self.0.iter().filter(|found| found.name == directive);
        let mut of_name = set.filter(|found| found.arguments[0].eq_ignore_ascii_case(name));
        of_name.next().map(|found| found.arguments[1].as_str())
    }

    /// The arguments of `name` directly within the block that begins with `block`.
    pub fn within(&self, block: &str, name: &str) -> Vec<String> {
        let found = self.0.iter().filter(|directive| {
            directive.name == name && directive.within.last().is_some_and(|last| last == block)
        });
        found.map(|directive| directive.arguments.join(" ")).collect()
    }
}

/// Words and the tokens `;`, `{` and `}`. Quoted text is a word, even when it is empty.
fn tokens(text: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    for letter in lines.flat_map(|line| line.chars().chain(['\n'])) {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ';' | '{' | '}') => {
                all.extend(word.take());
                all.push(letter.to_string());
            }
            (None, _) if letter.is_whitespace() => all.extend(word.take()),
            (_, _) => word.get_or_insert_default().push(letter),
        }
    }
    all
}

#[test]
fn directives_are_found_in_their_blocks() {
    let file =
        Nginx::parse("a 1;\nempty \"\";\n# b 2;\nhttp {\n  up x { server h:1 resolve; }\n}\n");
    let within = vec!["http".to_owned(), "up x".to_owned()];
    let arguments = vec!["h:1".to_owned(), "resolve".to_owned()];
    assert_eq!(file.all("empty"), [""]);
    assert_eq!(file.0[2], Directive { within, name: "server".to_owned(), arguments });
    assert_eq!((file.all("a"), file.all("b").len()), (vec!["1".to_owned()], 0));
}
