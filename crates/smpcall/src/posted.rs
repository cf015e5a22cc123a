//! What a post answers, when a run is to come (P2).

/// What became of a post. Either way a run of the csd is still to begin that sees all that the caller wrote before the post.
///
/// | answer | who relies on what | what to do |
/// |---|---|---|
/// | [`Queued`](Self::Queued) | the caller on a run of its own (P1) | nothing |
/// | [`Busy`](Self::Busy) | the caller on the run that another post has queued (P2): it has not begun | nothing; or post again if the function is to run *on this CPU*, once that run has begun |
///
/// ```
/// use smpcall::Posted;
///
/// let answers = [Posted::Queued, Posted::Busy { cpu: 3 }];
/// assert_eq!(answers.map(Posted::is_queued), [true, false]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is queued: its function will run once on the CPU that was named.
    Queued,
    /// It was queued already, by another post, and no further run was added: the one that is still to begin on `cpu` serves this
    /// caller too.
    Busy {
        /// The CPU that it is queued for: the one that was named, or another.
        cpu: u32,
    },
}

impl Posted {
    /// Returns whether it was this post that queued the csd.
    ///
    /// ```
    /// use smpcall::Posted;
    ///
    /// assert!(Posted::Queued.is_queued());
    /// assert!(!Posted::Busy { cpu: 3 }.is_queued()); // a run is to come all the same
    /// ```
    pub const fn is_queued(self) -> bool {
        matches!(self, Self::Queued)
    }
}
