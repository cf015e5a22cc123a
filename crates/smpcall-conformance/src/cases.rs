//! The cases. A new one is a function in one of these modules, and its name in the list.
//!
//! A case is called on every CPU that takes part, at the same time, with its [`Ctx`]; it plays a role by its number.
//! Whatever it asks for more than one CPU it does on a machine of one as well, or says that it needs two. It ends with
//! the queues at rest as far as it was concerned: every run that it caused was waited for.

mod awaited;
mod blocking;
mod broadcast;
mod busy;
mod call;
mod cancel;
mod chain;
mod context;
mod counted;
mod deferred;
mod detached;
mod doorbell;
mod duties;
mod embedded;
mod hotplug;
mod late;
mod layout;
mod lazy;
mod many;
mod many_ends;
mod meanwhile;
mod migrates;
mod order;
mod outside;
mod panics;
mod parks;
mod post;
mod rendezvous;
mod seen;
mod wait;
mod watch;

use crate::ctx::{Ctx, Done};
use crate::rig::Rig;

/// One case.
pub(crate) struct Case<R: Rig> {
    pub(crate) name: &'static str,
    pub(crate) body: fn(Ctx<R>) -> Done,
}

macro_rules! cases {
    ($($module:ident: $($name:ident)+;)+) => {
        /// How many cases there are.
        pub(crate) const COUNT: usize = [$($(stringify!($name)),+),+].len();

        /// All of them, in the order in which they run.
        pub(crate) const fn list<R: Rig>() -> [Case<R>; COUNT] {
            [$($(Case { name: stringify!($name), body: $module::$name::<R> }),+),+]
        }
    };
}

cases! {
    layout:
        p13_a_csd_fits_a_cache_line
        p13_memory_is_linear_in_the_cpus;
    duties:
        p1_duty1_a_cpu_knows_its_number_in_every_context
        p1_duty1_a_thread_that_is_no_cpu_has_no_number
        p10_can_wait_knows_of_interrupts
        p9_duty2_interrupts_stay_off_until_the_last_restore
        p7_duty3_rings_that_merge_are_not_lost
        p11_duty4_catch_calls_once_and_does_not_unwind
        p10_the_clock_does_not_step_back;
    parks:
        p10_duty5_each_waiter_has_a_number_of_its_own
        p10_duty5_a_wake_before_the_park_is_kept
        p10_duty5_a_wake_ends_a_park_under_way
        p10_a_park_ends_with_its_time
        p10_a_park_of_a_cpu_does_not_outlast_its_doorbell;
    post:
        p1_a_post_runs_once_on_the_cpu_it_names
        p1_many_csds_each_run_once
        p1_every_cpu_posts_to_its_neighbours
        p1_a_csd_runs_more_often_than_its_word_can_count
        p1_a_cpu_that_there_is_not
        p5_posted_from_inside_it_runs_again
        p5_posted_from_inside_round_the_ring
        p5_runs_on_two_cpus_at_once
        p9_posted_with_interrupts_off
        p9_posted_from_call_context;
    busy:
        p3_busy_names_the_cpu_it_is_queued_for
        p3_one_of_many_posters_wins
        p3_a_csd_twice_in_one_chain_is_busy
        p2_what_was_written_before_a_busy_post_is_seen
        p2_told_does_not_outlive_the_run;
    seen:
        p2_each_raced_post_is_seen
        p2_the_last_write_of_many_posters_is_seen
        p2_posters_of_a_cpu_that_comes_and_goes_are_seen;
    cancel:
        p1_a_cancelled_run_does_not_happen
        p1_cancel_finds_nothing_to_take_away
        p1_cancelled_and_let_go_of_it_is_posted_anew
        p1_a_cancelled_csd_is_not_posted_elsewhere
        p1_cancel_raced_with_the_run
        p2_a_post_to_the_same_cpu_gives_the_run_back
        p2_cancel_says_whether_others_relied
        p6_the_others_keep_their_order_around_a_cancelled_one;
    call:
        p4_a_call_borrows_and_gives_back_a_result
        p4_results_of_every_size
        p4_what_a_call_wrote_is_visible
        p4_calls_of_all_to_all
        p10_two_cpus_call_each_other
        p10_calls_in_a_ring
        p10_a_waiting_caller_serves_its_queue
        p11_what_a_call_holds_is_dropped_once
        p11_a_refused_call_drops_its_function;
    wait:
        p4_wait_ends_with_the_pending_run
        p4_wait_for_nothing_returns_at_once
        p4_wait_of_the_target_itself
        p4_wait_of_every_cpu_for_one_run
        p4_wait_while_it_is_posted_again_and_again
        p4_wait_for_a_cancelled_run
        p10_a_wait_that_gives_up_names_the_target;
    watch:
        p10_what_runs_is_seen_from_outside
        p10_the_watchdog_finds_a_cpu_that_does_not_look;
    embedded:
        p1_an_embedded_csd_is_given_its_owner_and_its_cpu
        p2_each_raced_post_of_an_owner_is_seen
        p5_two_csds_of_one_struct_post_each_other
        p8_an_owner_that_is_refused_is_free
        p11_a_pinned_owner_may_be_dropped_while_it_is_queued
        p4_a_message_brings_back_an_answer
        p4_an_embedded_message_is_given_its_owner
        p4_messages_of_all_to_all
        p1_a_cancelled_message_gives_its_value_back
        p4_call_map_has_a_result_of_each_cpu
        p11_each_cpu_has_its_own_cell;
    awaited:
        p4_an_awaited_call_gives_back_its_result_and_wakes
        p1_a_future_that_is_dropped_takes_its_call_away
        p11_futures_that_are_dropped_at_any_step_lose_and_leak_nothing
        p8_an_awaited_call_is_refused_by_a_cpu_that_there_is_not;
    counted:
        p12_what_was_queued_was_counted_and_has_run
        p12_busy_and_refused_posts_are_counted;
    context:
        p10_a_waiting_call_from_a_function_is_refused
        p10_a_wait_in_a_function_is_refused
        p10_a_function_waits_for_itself_in_vain_and_may_cancel_its_next_run
        p10_with_interrupts_off_waiting_is_refused
        p10_a_self_call_runs_in_call_context
        p10_the_iterator_of_a_chain_may_not_wait
        p9_a_function_that_posts_itself_for_ever_is_held_by_the_budget;
    order:
        p6_posts_of_one_sender_run_in_order
        p6_each_of_many_senders_is_in_order
        p6_chains_and_single_posts_are_in_order
        p6_waiting_calls_of_a_batch_run_first
        p6_what_a_budget_leaves_over_runs_first
        p6_a_nested_flush_returns_at_once
        p9_a_flush_runs_no_more_posts_than_its_budget_says
        p10_a_waiting_call_is_served_by_the_next_flush_whatever_was_left_over;
    chain:
        p2_a_chain_counts_busy_and_cancelled_ones
        p2_a_refused_chain_owes_those_told_busy
        p2_a_refused_chain_that_nobody_relied_on
        p2_a_canceller_takes_the_debt_over
        p8_an_offline_cpu_refuses_a_whole_chain;
    doorbell:
        p7_a_sleeper_is_woken_by_a_post
        p7_the_first_entry_rings_and_the_others_do_not
        p7_each_sleep_is_ended_by_one_doorbell
        p7_busy_and_cancel_do_not_ring
        p7_a_chain_rings_once
        p7_a_polling_cpu_is_not_rung
        p7_a_cpu_in_its_flush_is_not_rung
        p7_a_flush_that_stops_at_its_budget_rings_once
        p7_a_polling_flush_that_stops_rings_nobody
        p7_going_offline_ends_the_polling
        p7_who_means_to_sleep_is_told_of_work
        p7_spurious_doorbells_are_harmless;
    hotplug:
        p8_offline_refuses_and_queues_nothing
        p8_going_offline_runs_what_it_accepted
        p8_posts_of_the_last_functions_are_refused
        p8_twice_is_an_error
        p8_not_from_inside_a_call
        p8_back_online_it_takes_posts_again
        p8_a_self_call_of_an_offline_cpu_is_refused
        p8_posts_to_a_cpu_that_comes_and_goes_are_counted
        p8_calls_to_a_cpu_that_comes_and_goes_are_answered;
    outside:
        p3_posted_by_a_thread_that_is_no_cpu
        p4_called_by_a_thread_that_is_no_cpu
        p9_posted_from_an_interrupt
        p9_posted_from_an_nmi
        p10_waiting_in_an_interrupt_is_refused;
    many:
        p4_many_each_shape_reaches_whom_it_means
        p4_many_that_nobody_waits_for_see_what_was_written
        p4_many_the_callers_own_part_comes_last
        p4_many_masks_of_every_kind
        p4_many_idle_names_those_that_are_busy
        p4_nearest_is_oneself_or_another_of_the_mask
        p6_many_of_one_sender_run_in_order
        p7_many_rings_who_does_not_look_once
        p7_many_sleepers_are_woken;
    many_ends:
        p4_a_kick_waits_for_who_has_interrupts_off
        p7_a_wake_up_rings_who_rests
        p8_many_leave_out_who_is_offline_and_count_it
        p8_many_to_a_cpu_that_comes_and_goes_are_counted
        p9_many_are_posted_with_interrupts_off
        p9_many_are_posted_from_an_nmi
        p10_many_from_a_function_are_posted_and_not_called
        p10_many_a_second_starts_while_the_first_is_in_flight
        p10_many_a_waiting_caller_serves_its_queue
        p11_many_a_panic_comes_back_when_all_have_run
        p11_many_a_panic_that_nobody_waits_for_stops_nobody
        p11_many_a_condition_that_panics_loses_nothing;
    meanwhile:
        p10_the_callers_work_is_done_between_the_doorbells_and_the_wait
        p10_the_callers_work_may_itself_wait
        p10_no_work_is_done_for_a_multicast_that_is_refused
        p11_the_callers_work_that_panics_waits_for_who_borrows;
    broadcast:
        p4_after_a_broadcast_nobody_finds_what_is_gone
        p4_whom_a_broadcast_leaves_out_is_called
        p7_whom_a_broadcast_reaches_is_left_alone
        p8_who_is_left_out_and_offline_finds_nothing_when_it_is_back
        p10_a_broadcast_is_refused_where_it_would_have_to_wait_and_may_not;
    panics:
        p11_a_panic_comes_back_to_the_waiting_caller
        p11_a_panic_that_nobody_waits_for_stops_nobody
        p11_a_self_call_that_panics_leaves_call_context;
    detached:
        p1_a_detached_call_runs_once_on_its_cpu
        p3_a_detached_call_finds_room_or_is_told_that_there_is_none
        p5_a_detached_call_makes_the_next_from_inside
        p6_detached_calls_of_one_sender_run_in_order
        p8_detached_calls_to_a_cpu_that_comes_and_goes_are_counted
        p9_a_detached_call_from_anywhere;
    lazy:
        p1_a_lazy_post_rides_along_with_another
        p1_a_lazy_post_is_cancelled
        p2_a_plain_post_expedites_a_lazy_one
        p2_each_post_of_a_lazy_one_is_seen
        p4_a_wait_expedites_a_lazy_post
        p8_lazy_posts_to_a_cpu_that_comes_and_goes_are_counted;
    deferred:
        p1_a_deferred_post_runs_before_the_kernel_code_behind_the_entry
        p2_each_deferred_post_is_seen
        p4_a_wait_brings_a_deferred_post_out_of_user_space
        p7_a_deferred_post_leaves_user_space_alone
        p7_a_deferred_post_rings_in_the_kernel
        p8_deferred_posts_to_a_cpu_that_comes_and_goes_are_counted;
    blocking:
        p4_a_blocking_call_borrows_and_gives_back_a_result
        p8_blocking_calls_to_a_cpu_that_comes_and_goes_are_answered
        p10_a_blocking_function_may_itself_wait
        p10_blocking_calls_of_two_cpus_to_each_other
        p10_blocking_calls_in_a_ring
        p10_a_blocking_call_is_refused_where_it_could_deadlock
        p11_a_panic_comes_back_from_a_blocking_call;
    rendezvous:
        p8_nobody_comes_online_in_a_rendezvous
        p10_a_rendezvous_holds_all_others
        p10_a_rendezvous_by_a_thread_that_is_no_cpu_is_refused
        p10_a_rendezvous_is_refused_where_it_could_deadlock
        p10_a_rendezvous_that_one_does_not_come_to_lets_all_go
        p10_rendezvous_of_all_at_once_take_turns
        p11_a_rendezvous_whose_function_panics_lets_all_go;
    migrates:
        p15_a_waiter_that_is_moved_comes_back_with_its_result
        p15_a_waiter_keeps_no_cpu;
    late:
        p1_nothing_went_wrong_after_its_case;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_begins_with_its_promise_and_is_there_once() {
        let names: Vec<_> = list::<crate::tests::NoRig>().iter().map(|case| case.name).collect();
        for (at, name) in names.iter().enumerate() {
            let (promise, rest) = name[1..].split_once('_').unwrap();
            assert!(name.starts_with('p') && !rest.is_empty(), "{name}");
            assert!((1..=15).contains(&promise.parse::<u32>().unwrap()), "{name}");
            assert!(!names[..at].contains(name), "{name} is there twice");
        }
        assert!(names.len() >= 40, "{}", names.len());
    }
}
