//! How often each kind of calls is drawn: one flag for each row of [`KINDS`].
//!
//! As in scftorture, the weights of the table hold as long as no flag sets one; as soon as one does, the others are 0.

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, value_parser};
use smpcall_conformance::soak::{KINDS, KINDS_LEN};

/// The weight of each kind, by number of its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weights(pub(super) [u32; KINDS_LEN]);

impl clap::FromArgMatches for Weights {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |kind: usize| matches.get_one::<u32>(KINDS[kind].flag).copied();
        let weights = match (0..KINDS_LEN).any(|kind| given(kind).is_some()) {
            true => Self(std::array::from_fn(|kind| given(kind).unwrap_or_default())),
            false => Self::of_the_table(),
        };
        if weights.0.iter().all(|weight| *weight == 0) {
            let message = "all weights are 0 (--weight-post and the others): there is nothing to do";
            return Err(clap::Error::raw(ErrorKind::ValueValidation, message));
        }
        Ok(weights)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for Weights {
    fn augment_args(command: Command) -> Command {
        KINDS.iter().fold(command, |command, kind| {
            let help = format!("Weight of {} [default: {}]", kind.help, kind.weight);
            command.arg(
                Arg::new(kind.flag)
                    .long(kind.flag)
                    .value_name("N")
                    .allow_negative_numbers(true)
                    .value_parser(value_parser!(u32).range(..=1_000_000))
                    .help_heading("Weights (once one is given, the others are 0)")
                    .help(help),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl Weights {
    /// The flags that make these weights; none if they are the table's.
    pub(super) fn flags(&self) -> Vec<String> {
        if *self == Self::of_the_table() {
            return Vec::new();
        }
        let set = KINDS.iter().zip(&self.0).filter(|(_, weight)| **weight > 0);
        set.map(|(kind, weight)| format!("--{} {weight}", kind.flag)).collect()
    }

    fn of_the_table() -> Self {
        Self(std::array::from_fn(|kind| KINDS[kind].weight))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{Args, FromArgMatches};

    fn parse(flags: &str) -> Result<Weights, clap::Error> {
        let command = Weights::augment_args(Command::new("torture"));
        let matches =
            command.try_get_matches_from(["torture"].into_iter().chain(flags.split_whitespace()))?;
        Weights::from_arg_matches(&matches)
    }

    #[test]
    fn one_weight_given_leaves_none_to_the_others() {
        assert!(parse("").unwrap().flags().is_empty());
        let posts = parse("--weight-post 3 --weight-call 0").unwrap();
        assert_eq!(posts.flags(), ["--weight-post 3"]);
        assert_eq!(parse(&posts.flags().join(" ")).unwrap(), posts);
        assert!(parse("--weight-post 0").is_err(), "nothing to do");
        assert!(parse("--weight-nothing 1").is_err());
    }
}
