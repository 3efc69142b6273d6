//! What a section is, and the macro that writes one.

use toml_edit::Item;

/// One key of a section, as it is documented.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name in the file.
    pub name: &'static str,
    /// The lines of its doc comment.
    pub doc: &'static [&'static str],
    /// Its default as TOML.
    pub default: String,
}

/// A table of the configuration file.
pub trait Section: Default {
    /// The table's name.
    const TABLE: &'static str;
    /// The lines of the section's doc comment.
    const DOC: &'static [&'static str];

    /// All keys with their defaults, in the order of the struct.
    fn keys() -> Vec<Key>;

    /// Sets one key; `None` if the section has no such key, otherwise what is wrong with the value, if anything.
    fn set(&mut self, key: &str, item: &Item) -> Option<Result<(), String>>;

    /// The value of each key as TOML, in the order of [`Section::keys`].
    fn show(&self) -> Vec<String>;
}

/// Writes a section: the struct, its defaults, and its [`Section`] implementation.
///
/// ```text
/// section! {
///     /// What receives mail.
///     pub struct Smtp in "smtp" {
///         /// The longest message that is taken.
///         pub max_message_size: Size = Size::mib(50),
///     }
/// }
/// ```
#[macro_export]
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident in $table:literal {
            $( $(#[doc = $doc:literal])* pub $key:ident : $type:ty = $default:expr ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $key: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )* }
            }
        }

        impl $crate::Section for $name {
            const TABLE: &'static str = $table;
            const DOC: &'static [&'static str] = &[$($about),*];

            fn keys() -> Vec<$crate::Key> {
                let default = Self::default();
                vec![$( $crate::Key {
                    name: stringify!($key),
                    doc: &[$($doc),*],
                    default: $crate::Setting::show(&default.$key),
                } ),*]
            }

            fn set(&mut self, key: &str, item: &toml_edit::Item) -> Option<Result<(), String>> {
                match key {
                    $( stringify!($key) => Some(
                        <$type as $crate::Setting>::read(item).map(|value| self.$key = value)
                    ), )*
                    _ => None,
                }
            }

            fn show(&self) -> Vec<String> {
                vec![$( $crate::Setting::show(&self.$key) ),*]
            }
        }
    };
}
