#!/bin/sh
# What cargo runs as the compiler (RUSTC_WRAPPER): the compiler, but x86_64 0.15.5 goes without its feature `step_trait`, which
# ostd does not use. It implements two methods of the language's unstable `Step` that came in July 2026, and a compiler of
# before, such as Debian 12's, refuses them.
rustc=$1
shift
case " $* " in
*" --crate-name x86_64 "*)
    for arg; do
        shift
        if [ "$arg" = 'feature="step_trait"' ]; then
            # The word before it is --cfg: a name that nobody asks for takes its place.
            set -- "$@" 'without_step_trait'
        else
            set -- "$@" "$arg"
        fi
    done
    ;;
esac
exec "$rustc" "$@"
