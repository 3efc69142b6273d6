//! Virtual aliases: which addresses mean which others.

section! {
    /// Virtual aliases, as Postfix's virtual(5) has them. The map files are read as text (no postmap) and again when they change.
    pub struct Alias in "alias" {
        /// The maps, searched in this order. Kinds: hash and texthash (lines of an address and its targets), regexp and pcre.
        /// Paths are seen from this file's folder. Example: ["hash:virtual", "regexp:virtual.regexp"].
        pub maps: Vec<String> = Vec::new(),
        /// The domain that names without one get, in maps and from clients. Empty: the hostname. Postfix: myorigin.
        pub origin: String = String::new(),
        /// Domains whose mail is for the accounts here, beside the hostname and localhost. Postfix: mydestination.
        pub destinations: Vec<String> = Vec::new(),
        /// Domains that exist only in the maps. Empty: every domain that is a key in them. Postfix: virtual_alias_domains.
        pub domains: Vec<String> = Vec::new(),
        /// The characters that may divide an account's name from an extension, as in joe+shop. Empty: none.
        pub recipient_delimiter: String = "+".to_owned(),
        /// Whether an extension that no line of a map names is carried over to the line's targets.
        pub propagate_unmatched_extensions: bool = true,
        /// How many look-ups may follow one from another for one address. Postfix: virtual_alias_recursion_limit.
        pub recursion_limit: u32 = 1_000,
        /// How many addresses one address may become. Postfix: virtual_alias_expansion_limit.
        pub expansion_limit: u32 = 1_000,
        /// The longest address that a map may give, in octets. Postfix: virtual_alias_address_length_limit.
        pub address_length_limit: u32 = 1_000,
        /// The longest map file that is read.
        pub max_map_size: crate::Size = crate::Size::mib(64),
    }
}
