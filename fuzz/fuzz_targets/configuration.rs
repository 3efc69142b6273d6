//! The configuration file: any text gives a configuration or problems that name a place in it.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(problems) = config::Config::parse("fuzz.toml", text) {
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(problem.to_string().starts_with("fuzz.toml"), "{problem}");
        }
    }
});
