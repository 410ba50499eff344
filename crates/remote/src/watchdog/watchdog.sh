# The watchdog: takes a target back when nobody says in time that all is well.
#
#   arm PLACE         request on standard input; captures and proves what may have to be put back, then starts the watch
#   renew PLACE TOKEN moves the deadline on, for the lease with this token from now on; 98 if it is no longer armed
#   confirm PLACE     all is well, nothing will be taken back; 98 if it is too late
#   disarm PLACE      stops it, also between two attempts to restore
#   status FOLDER     prints every watchdog in FOLDER
#   boot FOLDER       goes on with every watchdog in FOLDER: what the entry that runs at boot calls
#   watch PLACE       waits for the deadline, then restores until it is done
#   discard PLACE     removes one that has nothing left to do; 98 otherwise
#
# | phase | renew | confirm | disarm | deadline | restored | a newer lease was given |
# |---|---|---|---|---|---|---|
# | armed | armed, later | confirmed | disarmed | fired | | |
# | fired | 98 | 98 | disarmed | | restored | aside |
# | confirmed, disarmed, restored, aside | 98 | 0 if it is confirmed, else 98 | the same | | | |

begin() {
    phase=none
    token=0
    lifetime=0
    until_now=0
    until_up=0
    since_boot=
    since_up=0
}

parse() {
    value=${1#* }
    case $1 in
        'phase '*) phase=$value ;;
        'token '*) token=$value ;;
        'lifetime '*) lifetime=$value ;;
        'expires '*) until_now=$value ;;
        'until '*) until_up=$value ;;
        'clock '*) since_boot=$value ;;
        'since '*) since_up=$value ;;
    esac
}

# The text of a state in phase `$1`, with the deadline as it was read.
state_text() {
    printf 'phase %s\ntoken %s\nlifetime %s\nexpires %s\nuntil %s\nclock %s\nsince %s' \
        "$1" "$token" "$lifetime" "$until_now" "$until_up" "$since_boot" "$since_up"
}

set_deadline() {
    until_now=$((now + (lifetime + 99) / 100))
    until_up=$((up + lifetime))
    since_boot=$boot
    since_up=$up
}

note() {
    { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$1" >>"$place/journal"; } 2>/dev/null
}

arm() {
    home=$place
    if [ -d "$home" ]; then
        # Asked again: the answer to the first time was lost.
        load
        if [ "$phase" != armed ]; then
            report
            exit 98
        fi
        settings
        if ! [ -r "$place/entry" ]; then
            enter
        fi
        start
        report
        exit 0
    fi
    for place in "$home".new.*; do
        look_at "${place##*.}" 0
        if [ "$life" = gone ]; then
            rm -rf "$place"
        fi
    done
    place=$home.new.$$
    rm -rf "$place"
    mkdir -p "$place" || fail 74 "could not make $place"
    count=0
    asked=no
    while IFS= read -r line; do
        value=${line#* }
        case $line in
            end)
                asked=yes
                break
                ;;
            'lifetime '*) lifetime=$value ;;
            'token '*) token=$value ;;
            'guard '* | 'lease '* | 'environment '* | 'target '* | 'run '*)
                printf '%s\n' "$line" >>"$place/settings"
                ;;
            'system '*)
                printf '%s\n' "$line" >>"$place/settings"
                ;;
            'keep replaced '* | 'keep in-place '*)
                how=${value%% *}
                path=${value#* }
                decode "$path"
                if ! capture "$how" "$decoded" "$path" >>"$place/plan"; then
                    rm -rf "$place"
                    fail 66 "could not keep and prove $decoded: $why"
                fi
                ;;
            'link '* | 'to '* | 'absent '* | 'command '* | 'word '*) printf '%s\n' "$line" >>"$place/plan" ;;
        esac
    done
    if [ "$asked" = no ] || ! number "${lifetime:-}" || ! number "${token:-}"; then
        rm -rf "$place"
        fail 64 'the request is not whole'
    fi
    if ! printf 'end\n' >>"$place/plan" || ! printf 'end\n' >>"$place/settings"; then
        rm -rf "$place"
        fail 74 "could not write in $place"
    fi
    clock
    set_deadline
    generation=0
    note 'armed'
    if ! { printf '%s\nend\n' "$(state_text armed)" >"$place/state.1"; } 2>/dev/null; then
        rm -rf "$place"
        fail 74 "could not write in $place"
    fi
    # All of it, also what lies in trees.
    sync -f "$place" 2>/dev/null || sync
    if ! mv "$place" "$home"; then
        rm -rf "$place"
        fail 74 "could not make $home"
    fi
    place=$home
    settings
    load
    enter
    start
    report
    exit 0
}

settings() {
    while IFS= read -r line; do
        value=${line#* }
        case $line in
            'guard '*)
                decode "$value"
                guard=$decoded
                ;;
            'lease '*)
                decode "$value"
                lease=$decoded
                ;;
            'system '*)
                decode "$value"
                system=$decoded
                ;;
            'environment '* | 'target '* | 'run '*) about="$about$line
" ;;
        esac
    done <"$place/settings"
}

# Sets life of the process that watches.
watcher() {
    life=gone
    pid=
    if [ -r "$place/watcher" ]; then
        IFS=' ' read -r pid began home <"$place/watcher"
        clock
        if [ "$home" = "$boot" ]; then
            look_at "$pid" "$began"
        fi
    fi
}

# Starts a watch that outlives whoever called.
start() {
    watcher
    if [ "$life" != gone ]; then
        return
    fi
    if [ "${entry:-}" = systemd ]; then
        systemctl start --no-block "$unit.service" >/dev/null 2>&1
    elif command -v setsid >/dev/null; then
        setsid sh "$0" watch "$place" </dev/null >/dev/null 2>&1 &
    else
        nohup sh "$0" watch "$place" </dev/null >/dev/null 2>&1 &
    fi
    tries=0
    while :; do
        watcher
        if [ "$life" != gone ]; then
            return
        fi
        load
        case $phase in
            armed | fired) ;;
            *) return ;;
        esac
        tries=$((tries + 1))
        if [ "$tries" -gt 200 ]; then
            fail 74 'the watch did not start'
        fi
        sleep 0.05 2>/dev/null || sleep 1
    done
}

report() {
    load
    clock
    watcher
    IFS= read -r entry 2>/dev/null <"$place/entry" || entry=none
    printf 'id %s\nphase %s\nexpires %s\nnow %s\nwatch %s\nentry %s\n' \
        "${place##*/}" "$phase" "$until_now" "$now" "$life" "$entry"
    if [ -r "$place/journal" ]; then
        tail -n 40 "$place/journal" | sed 's/^/journal /'
    fi
    printf 'end\n'
}

renew() {
    while :; do
        load
        if [ "$phase" != armed ]; then
            report
            exit 98
        fi
        clock
        set_deadline
        if [ "$renewed" -gt "$token" ]; then
            token=$renewed
        fi
        if advance "$(state_text armed)"; then
            start
            report
            exit 0
        fi
    done
}

# Goes to the final phase `$1`, from `armed` or any phase in `$2`.
finish() {
    while :; do
        load
        case " armed $1 $2 " in
            *" $phase "*) ;;
            *)
                report
                exit 98
                ;;
        esac
        clock
        if [ "$phase" = "$1" ] || advance "$(state_text "$1")"; then
            if [ "$phase" != "$1" ]; then
                note "$1"
            fi
            leave
            if [ "$phase" = armed ]; then
                # It only sleeps: whoever was quicker left it nothing to restore.
                watcher
                if [ "$life" = alive ]; then
                    kill "$pid" 2>/dev/null
                fi
            fi
            report
            exit 0
        fi
    done
}

pause_for() {
    sleep "$(($1 / 100)).$(printf %02d $(($1 % 100)))" 2>/dev/null || sleep $(($1 / 100 + 1))
}

watch() {
    know_self
    clock
    printf '%s %s %s\n' "$$" "$self" "$boot" >"$place/watcher.$$"
    mv -f "$place/watcher.$$" "$place/watcher"
    wait=100
    while :; do
        load
        clock
        case $phase in
            armed)
                if past "$until_now" "$until_up" "$since_boot" "$since_up"; then
                    if advance "$(state_text fired)"; then
                        note 'nobody confirmed in time'
                    fi
                    continue
                fi
                if [ -n "$boot" ] && [ "$boot" = "$since_boot" ]; then
                    left=$((until_up - up))
                else
                    left=$(((until_now - now) * 100))
                fi
                if [ "$left" -gt 300 ]; then
                    left=300
                elif [ "$left" -lt 5 ]; then
                    left=5
                fi
                pause_for "$left"
                ;;
            fired)
                if restore; then
                    continue
                fi
                # Never given up: a disk that was full has room again, a unit that was missing comes back.
                pause_for "$wait"
                wait=$((wait * 2))
                if [ "$wait" -gt 30000 ]; then
                    wait=30000
                fi
                ;;
            *)
                # Last, and also where another watch was killed before it came here.
                leave
                exit 0
                ;;
        esac
    done
}

operation=${1:?}
place=${2:?}
renewed=${3:-0}
system=
guard=
lease=
about=
case $operation in
    status | boot)
        folder=$place
        for place in "$folder"/*; do
            case ${place##*/} in
                *.new.*) continue ;;
            esac
            if ! [ -r "$place/settings" ]; then
                continue
            fi
            if [ "$operation" = status ]; then
                report
            else
                load
                entry=
                case $phase in
                    armed | fired) start ;;
                esac
            fi
        done
        exit 0
        ;;
    arm) ;;
    renew | confirm | disarm | watch | discard)
        if ! [ -r "$place/settings" ]; then
            fail 69 "there is no watchdog in $place"
        fi
        settings
        ;;
    *) fail 64 "there is no operation $operation" ;;
esac
if ! number "$renewed"; then
    fail 64 "$operation needs a token"
fi
case $operation in
    arm) arm ;;
    renew) renew ;;
    confirm) finish confirmed '' ;;
    disarm) finish disarmed 'fired' ;;
    watch) watch ;;
    discard)
        load
        case $phase in
            armed | fired)
                report
                exit 98
                ;;
        esac
        report
        rm -rf "$place"
        ;;
esac
exit 0
# This line is the last.
