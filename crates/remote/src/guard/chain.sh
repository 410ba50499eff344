# Shared by the guard and the watchdog: a chain of states in one directory.
#
# `state.N` is a whole file that never changes; the greatest N is the state that counts. The next one is written beside and
# given its name by link(2), which fails where the name is taken: of all who change the same state one gets through, and the
# others look again. There is no lock, so whoever is killed leaves the old state or the new one and holds up nobody.
#
# Sets, for the caller: generation (of the state that was read), and from `clock`: now (seconds of the wall clock), up
# (hundredths of a second since boot, also over a suspension; 0 if unknown), boot (the boot's id, or nothing).

now=0
up=0
boot=

number() {
    case $1 in
        '' | *[!0-9]*) return 1 ;;
    esac
}

clock() {
    now=$(date +%s)
    up=0
    boot=
    if [ -r /proc/uptime ] && [ -r /proc/sys/kernel/random/boot_id ]; then
        IFS=' .' read -r whole part rest </proc/uptime
        up=$((whole * 100 + 1$part - 100))
        IFS= read -r boot </proc/sys/kernel/random/boot_id
    fi
}

# Whether the moment is past that lies `$1` on the wall clock and `$2` since the boot `$3`, reckoned when `$4` had passed
# since it. The wall clock is asked only when the machine has booted since, or cannot tell.
past() {
    if [ -n "$boot" ] && [ "$boot" = "$3" ] && [ "$up" -ge "$4" ]; then
        [ "$up" -ge "$2" ]
    else
        [ "$now" -ge "$1" ]
    fi
}

latest() {
    if [ -d "$place" ] && ! { [ -r "$place" ] && [ -x "$place" ]; }; then
        fail 74 "may not read $place"
    fi
    generation=0
    for path in "$place"/state.*; do
        counted=${path##*.}
        if number "$counted" && [ "$counted" -gt "$generation" ]; then
            generation=$counted
        fi
    done
}

# Reads the state that counts with `parse`, which gets each line; `begin` forgets what was read before.
load() {
    tries=0
    while :; do
        latest
        begin
        if [ "$generation" -eq 0 ]; then
            return
        fi
        complete=no
        if [ -r "$place/state.$generation" ]; then
            while IFS= read -r line; do
                case $line in
                    end) complete=yes ;;
                    *) parse "$line" ;;
                esac
            done <"$place/state.$generation"
        fi 2>/dev/null
        if [ "$complete" = yes ]; then
            return
        fi
        # Cleared away since the directory was read, unless it is still there.
        tries=$((tries + 1))
        if [ "$tries" -gt 20 ]; then
            fail 65 "the state $place/state.$generation is damaged, or may not be read"
        fi
    done
}

# Makes `$1` the state behind the one that was read. Returns 1 if somebody else was quicker. Durable when it returns.
advance() {
    next=$((generation + 1))
    draft=$place/draft.$$.$next.$up
    if ! { printf '%s\nend\n' "$1" >"$draft"; } 2>/dev/null; then
        rm -f "$draft"
        fail 74 "could not write in $place: it is full or may not be written"
    fi
    flush "$draft"
    trouble=$(ln "$draft" "$place/state.$next" 2>&1)
    linked=$?
    rm -f "$draft"
    latest
    if [ "$linked" -ne 0 ]; then
        if [ "$generation" -lt "$next" ]; then
            fail 74 "could not make a link in $place: $trouble"
        fi
        return 1
    fi
    flush "$place"
    # A greater one means that this name had been cleared away already: it was free, and long past.
    if [ "$generation" -ne "$next" ]; then
        return 1
    fi
    clear_away
}

# Keeps the last sixteen: a reader that is slower than sixteen changes reads again.
clear_away() {
    set --
    for path in "$place"/state.*; do
        counted=${path##*.}
        if number "$counted" && [ "$counted" -le $((generation - 16)) ]; then
            set -- "$@" "$path"
        fi
    done
    if [ $# -lt 16 ]; then
        return
    fi
    for path in "$place"/draft.*; do
        counted=${path#"$place"/draft.*.}
        counted=${counted%%.*}
        if number "$counted" && [ "$counted" -le $((generation - 16)) ]; then
            set -- "$@" "$path"
        fi
    done
    rm -f "$@"
}

# Reads the start of process `$1`, its state and its number of threads, as proc_pid_stat(5) has them; started is empty if
# there is nothing to read.
read_stat() {
    stat=
    started=
    if [ -r "/proc/$1/stat" ]; then
        while IFS= read -r line; do
            stat="$stat $line"
        done <"/proc/$1/stat"
    fi 2>/dev/null
    case $stat in
        *')'*) ;;
        *) return ;;
    esac
    # The name, in brackets, may hold anything; behind the last bracket stand plain words.
    # shellcheck disable=SC2086
    set -- ${stat##*)}
    letter=$1
    threads=${18}
    started=${20}
}

# Looks at process `$1` that started at `$2` (0: not known). Sets life: gone, stopped, alive, or unknown.
look_at() {
    life=unknown
    if ! number "$1" || ! number "$2"; then
        return
    fi
    read_stat "$1"
    if [ -z "$started" ]; then
        # Where processes of others are hidden (`hidepid` in proc(5)), not to be seen means nothing.
        if [ -d /proc/1 ] && ! [ -d "/proc/$1" ]; then
            life=gone
        fi
    elif [ "$2" != 0 ] && [ "$started" != "$2" ]; then
        life=gone
    else
        life=alive
        case $letter in
            # A first thread that ended while others go on is a zombie too.
            Z | X) if [ "$threads" -le 1 ]; then life=gone; fi ;;
            T | t) life=stopped ;;
        esac
    fi
}

# Sets self to the start of this very process; 0 where that cannot be known.
know_self() {
    read_stat $$
    self=${started:-0}
}

