//! How often each kind of calls is drawn: one flag for each row of [`KINDS`].
//!
//! As in scftorture, the weights of the table hold as long as no flag sets one; as soon as one does, the others are 0.

use super::kinds::{Ends, KINDS};
use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, value_parser};
use fastrand::Rng;

/// The weight of each kind, by number of its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Weights(Vec<u32>);

impl clap::FromArgMatches for Weights {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given: Vec<_> = KINDS.iter().map(|kind| matches.get_one::<u32>(kind.flag).copied()).collect();
        let weights = match given.iter().any(Option::is_some) {
            true => Self(given.into_iter().map(Option::unwrap_or_default).collect()),
            false => Self(KINDS.iter().map(|kind| kind.weight).collect()),
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
        if KINDS.iter().map(|kind| kind.weight).eq(self.0.iter().copied()) {
            return Vec::new();
        }
        let set = KINDS.iter().zip(&self.0).filter(|(_, weight)| **weight > 0);
        set.map(|(kind, weight)| format!("--{} {weight}", kind.flag)).collect()
    }

    /// Draws the number of a kind.
    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        self.draw_of(rng, |_| true).expect("not all weights are 0")
    }

    /// Draws the number of a kind that waits for nobody, if there is one with a weight.
    pub(super) fn draw_at_once(&self, rng: &mut Rng) -> Option<usize> {
        self.draw_of(rng, |kind| KINDS[kind].ends == Ends::AtOnce)
    }

    fn draw_of(&self, rng: &mut Rng, may: impl Fn(usize) -> bool) -> Option<usize> {
        let open = || self.0.iter().enumerate().filter(|(kind, _)| may(*kind));
        let total: u32 = open().map(|(_, weight)| *weight).sum();
        if total == 0 {
            return None;
        }
        let mut drawn = rng.u32(..total);
        for (kind, weight) in open() {
            if drawn < *weight {
                return Some(kind);
            }
            drawn -= weight;
        }
        None
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

    #[test]
    fn what_has_no_weight_is_never_drawn() {
        let mut rng = Rng::with_seed(1);
        let weights = parse("--weight-post 1 --weight-call 3").unwrap();
        let mut drawn = vec![0; KINDS.len()];
        for _ in 0..4000 {
            drawn[weights.draw(&mut rng)] += 1;
        }
        let count = |name| drawn[KINDS.iter().position(|kind| kind.name == name).unwrap()];
        assert_eq!(count("post") + count("call"), 4000);
        assert!((800..1200).contains(&count("post")), "{drawn:?}");
        assert_eq!(parse("--weight-call 1").unwrap().draw_at_once(&mut rng), None);
    }
}
