# The guard: whose turn it is to change one target.
#
#   take PLACE            request on standard input; prints the lease, or with 75 the one that stands in the way
#   seize PLACE TOKEN     the same for a way back: from the holder of TOKEN or whoever has it from him, living or not
#   renew PLACE TOKEN     moves the expiry on; 98 if the lease has passed on
#   release PLACE TOKEN   gives it back; nothing if it has passed on
#   break PLACE TOKEN     takes it from a living holder, who is refused from now on; 98 if it has passed on
#   raise PLACE TOKEN     refuses older tokens from now on; 97 if there was a newer one
#   run PLACE TOKEN COMMAND...   becomes the command, or refuses it with 97
#   check PLACE TOKEN     97 if a newer token was seen
#   show PLACE            prints the state and what is known of the holder
#   list FOLDER           `show` for every place below FOLDER/*/*
#
# 65: a state cannot be read. 74: the disk is full, or may not be written.
#
# | state | take | seize T | renew T, release T, break T | raise T, run T |
# |---|---|---|---|---|
# | free | given | given if T was the last one given | 98, nothing, 98 | 97 if T is older than the newest seen |
# | held, holder alive or not known, not expired | 75 | given if T is the last one given | done if T holds it | the same |
# | held, holder seen alive here, expired | 75 | the same | the same | the same |
# | held, holder gone, or expired | given | the same | the same | the same |

begin() {
    token=0
    given=0
    seen=0
    record=
    process=
    start=
    home=
    apart=
    lifetime=0
    until_now=0
    until_up=0
    since_boot=
    since_up=0
    restorer=
    run=
    sound=yes
}

# Only plain words and numbers are read here; what people wrote is copied and never looked at.
parse() {
    value=${1#* }
    case $1 in
        'token '* | 'given '* | 'seen '* | 'lifetime '* | 'expires '* | 'until '* | 'since '*)
            number "$value" || sound=no
            ;;
    esac
    case $1 in
        'token '*) token=$value ;;
        'given '*) given=$value ;;
        'seen '*) seen=$value ;;
        'lifetime '*) lifetime=$value ;;
        'expires '*) until_now=$value ;;
        'until '*) until_up=$value ;;
        'since '*) since_up=$value ;;
        'clock '*) since_boot=$value ;;
        'restorer '*) restorer=$value ;;
        *) record="$record
$1" ;;
    esac
    case $1 in
        'run '*) run=$value ;;
        'process '*) process=$value ;;
        'start '*) start=$value ;;
        'boot '*)
            home=${value%% *}
            apart=
            case $value in
                *' pid:['*) apart=pid:[${value##*pid:[} ;;
            esac
            ;;
    esac
}

state() {
    load
    if [ "$sound" = no ]; then
        fail 65 "the state $place/state.$generation is damaged"
    fi
    clock
}

# Sets life and expired, of a lease that is held.
judge() {
    life=unknown
    if [ -n "$boot" ] && [ "$home" = "$boot" ]; then
        space=$(readlink /proc/self/ns/pid 2>/dev/null)
        # The space of process ids that a machine boots with, by include/linux/proc_ns.h.
        if [ -n "$space" ] && [ "${apart:-pid:[4026531836]}" = "$space" ]; then
            look_at "$process" "$start"
        fi
    fi
    expired=no
    if past "$until_now" "$until_up" "$since_boot" "$since_up"; then
        expired=yes
    fi
}

tell() {
    printf 'generation %s\ntoken %s\ngiven %s\nseen %s\n' "$generation" "$token" "$given" "$seen"
    printf 'lifetime %s\nexpires %s\nnow %s' "$lifetime" "$until_now" "$now"
    if [ -n "$restorer" ]; then
        printf '\nrestorer %s' "$restorer"
    fi
    printf '%s\n' "$record"
    if [ "$token" -ne 0 ]; then
        judge
        printf 'life %s\nexpired %s\n' "$life" "$expired"
    fi
    for path in "$place"/pass.*; do
        entry "$path"
        if [ "$life" != gone ] && [ "$life" != none ]; then
            printf 'running %s %s\n' "$theirs" "$pid"
        fi
    done
    printf 'end\n'
}

# The text of a state with the lease that was read or made, from now on for its lifetime.
held() {
    printf 'token %s\ngiven %s\nseen %s\nlifetime %s\n' "$token" "$given" "$seen" "$lifetime"
    printf 'expires %s\nuntil %s\nclock %s\nsince %s' \
        "$((now + (lifetime + 99) / 100))" "$((up + lifetime))" "$boot" "$up"
    if [ -n "$restorer" ]; then
        printf '\nrestorer %s' "$restorer"
    fi
    printf '%s' "$record"
}

free() {
    printf 'token 0\ngiven %s\nseen %s' "$given" "$seen"
    if [ -n "$restorer" ]; then
        printf '\nrestorer %s' "$restorer"
    fi
}

# A request cut off on its way has no `end`, and is none.
ask() {
    request=
    wanted=
    proof=
    claims=
    asked=no
    while IFS= read -r line; do
        case $line in
            end)
                asked=yes
                break
                ;;
            'lifetime '*) wanted=${line#* } ;;
            'proof '*) proof=${line#* } ;;
            'restorer '*) claims=${line#* } ;;
            'environment '* | 'target '* | 'run '* | 'plan '* | 'user '* | 'host '* | 'boot '* | 'process '* | 'start '* | 'reason '*)
                request="$request
$line"
                ;;
        esac
    done
    if [ "$asked" = no ] || ! number "$wanted"; then
        fail 64 'the request is not whole'
    fi
}

# Gives the lease to whoever asked. `state` was read just before.
give() {
    seen=$((seen + 1))
    token=$seen
    given=$seen
    lifetime=$wanted
    restorer=$claims
    record="$request
taken $now"
    advance "$(held)"
}

granted() {
    mine=$token
    settle
    state
    tell
    if [ "$token" -ne "$mine" ]; then
        exit 98
    fi
    exit 0
}

take() {
    ask
    if ! mkdir -p "$place" 2>/dev/null; then
        fail 74 "could not make $place"
    fi
    while :; do
        state
        if [ "$token" -ne 0 ]; then
            judge
            case $life-$expired in
                gone-* | stopped-yes | unknown-yes) ;;
                *)
                    # Proof from where the holder lived; of one who is seen to live here it cannot be right.
                    if [ "$proof" != "$token" ] || [ "$life" = alive ] || [ "$life" = stopped ]; then
                        tell
                        exit 75
                    fi
                    ;;
            esac
        fi
        if give; then
            granted
        fi
    done
}

seize() {
    ask
    while :; do
        state
        if [ -n "$claims" ] && [ "$restorer" = "$claims" ]; then
            # Another one of the same way back; at most one of them works.
            if [ "$token" -ne 0 ]; then
                judge
                if [ "$life" = alive ] || [ "$life" = stopped ]; then
                    tell
                    exit 75
                fi
            fi
        elif [ "$given" -ne "$1" ]; then
            tell
            exit 98
        fi
        if give; then
            granted
        fi
    done
}

renew() {
    while :; do
        state
        if [ "$token" -ne "$1" ] || [ "$token" -eq 0 ]; then
            tell
            exit 98
        fi
        if advance "$(held)"; then
            sweep
            state
            # Its watchdog waits for a sign of life as well.
            if [ -d "${0%/*}/watchdog/$run" ]; then
                printf 'watched yes\n'
            fi
            tell
            exit 0
        fi
    done
}

release() {
    while :; do
        state
        if [ "$token" -ne "$1" ] || [ "$token" -eq 0 ] || advance "$(free)"; then
            exit 0
        fi
    done
}

break_lease() {
    while :; do
        state
        tell >&3
        if [ "$token" -ne "$1" ] || [ "$token" -eq 0 ]; then
            exit 98
        fi
        seen=$((seen + 1))
        if advance "$(free)"; then
            settle
            exit 0
        fi
    done
}

raise() {
    if ! mkdir -p "$place" 2>/dev/null; then
        fail 74 "could not make $place"
    fi
    while :; do
        state
        refuse_older "$1"
        if [ "$1" -eq "$seen" ]; then
            exit 0
        fi
        seen=$1
        given=$1
        restorer=
        if advance "$(free)"; then
            settle
            exit 0
        fi
    done
}

refuse_older() {
    if [ "$1" -lt "$seen" ]; then
        printf 'pleach-guard: refused %s seen %s\n' "$1" "$seen" >&2
        exit 97
    fi
}

# Becomes the command. What says that it is between the comparison and the start is its command line, which the kernel
# replaces in the very step in which the command starts: until then a newer token waits for it, or ends it.
run() {
    older=$1
    shift
    know_self
    mark=$place/pass.$older.$$.$self
    if [ "$self" -ne 0 ]; then
        IFS= read -r shown <"/proc/$$/cmdline"
        # On a full disk the way back must still be able to remove something.
        { printf '%s\n' "$shown" >"$mark"; } 2>/dev/null || rm -f "$mark"
    fi
    load
    if [ "$sound" = no ]; then
        fail 65 "the state $place/state.$generation is damaged"
    fi
    if [ "$older" -lt "$seen" ]; then
        rm -f "$mark"
        refuse_older "$older"
    fi
    if [ "$older" -gt "$seen" ]; then
        (raise "$older") || exit $?
    fi
    exec "$@"
}

# Sets theirs (token), pid, and life: none (no entry), gone, or as `look_at`.
entry() {
    life=none
    rest=${1#"$place"/pass.}
    theirs=${rest%%.*}
    rest=${rest#*.}
    pid=${rest%%.*}
    if number "$theirs" && number "$pid"; then
        look_at "$pid" "${rest#*.}"
    fi
}

# Whether the process of entry `$1` has been compared and not yet started its command.
between() {
    entry "$1"
    case $life in
        none | gone | unknown) return 1 ;;
    esac
    # Empty while it is written: then its process has not compared yet, and will see the newer token.
    shown=
    seems=
    { IFS= read -r shown <"$1"; } 2>/dev/null
    # A command line does not end in a line end.
    { IFS= read -r seems <"/proc/$pid/cmdline"; } 2>/dev/null
    [ -n "$shown" ] && [ "$shown" = "$seems" ]
}

# Nothing older starts once this is done. Who is between comparison and start for long was stopped there, and is ended.
settle() {
    for path in "$place"/pass.*; do
        patience=40
        while [ "$patience" -gt -40 ] && between "$path" && [ "$theirs" -lt "$seen" ]; do
            patience=$((patience - 1))
            if [ "$patience" -lt 0 ]; then
                kill -9 "$pid" 2>/dev/null
            fi
            sleep 0.05 2>/dev/null || sleep 1
        done
        if [ "$patience" -le -40 ]; then
            fail 74 "process $pid is about to start a command under token $theirs and cannot be ended"
        fi
    done
    sweep
}

sweep() {
    set --
    for path in "$place"/pass.*; do
        entry "$path"
        if [ "$life" = gone ]; then
            set -- "$@" "$path"
        fi
    done
    if [ $# -gt 0 ]; then
        rm -f "$@"
    fi
}

operation=${1:?}
place=${2:?}
shift 2
case $operation in
    take | show | list) ;;
    *)
        if ! number "${1:-}"; then
            fail 64 "$operation needs a token"
        fi
        ;;
esac
case $operation in
    take) take ;;
    seize) seize "$1" ;;
    renew) renew "$1" ;;
    release) release "$1" ;;
    break) break_lease "$1" 3>&1 ;;
    raise) raise "$1" ;;
    run) run "$@" ;;
    check)
        load
        refuse_older "$1"
        ;;
    show)
        state
        tell
        ;;
    list)
        folder=$place
        for place in "$folder"/*/*; do
            if [ -d "$place" ]; then
                state
                tell
            fi
        done
        ;;
    *) fail 64 "there is no operation $operation" ;;
esac
exit 0
# This line is the last.
