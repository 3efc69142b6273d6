//! Virtual alias maps as Postfix reads them: exists(recipient), expand(recipient).
