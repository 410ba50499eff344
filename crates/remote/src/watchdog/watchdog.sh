# The watchdog: takes a target back when nobody says in time that all is well.
#
#   arm PLACE         request on standard input; captures and proves what may have to be put back, then starts the watch
#   renew PLACE       moves the deadline on; 98 if it is no longer armed
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

# Sets decoded to the text of a line: `\0ooo` stands for a byte.
decode() {
    decoded=$(printf '%b.' "$1")
    decoded=${decoded%.}
}

file_digest() {
    digest=$(sha256sum <"$1" 2>/dev/null) && digest=${digest%% *} && [ -n "$digest" ]
}

# Over every name, kind, mode, owner, link and content. Comparable on this machine only: that is where it is compared.
tree_digest() {
    list=$place/list.$$
    (
        LC_ALL=C
        export LC_ALL
        cd "$1" || exit 1
        find . -exec stat -c '%n %f %u %g' {} + >"$list" || exit 1
        find . -type l -exec stat -c '%N' {} + >>"$list" || exit 1
        find . -type f -exec sha256sum {} + >>"$list" || exit 1
        sort "$list" >"$list.sorted"
    ) 2>/dev/null || return 1
    file_digest "$list.sorted" || return 1
    rm -f "$list" "$list.sorted"
}

packer() {
    case $1 in
        *.zst) zstd -q -1 ;;
        *.gz) gzip -1 ;;
        *) cat ;;
    esac
}

unpacker() {
    case $1 in
        *.zst) zstd -q -d -c ;;
        *.gz) gzip -d -c ;;
        *) cat ;;
    esac
}

# Copies tree `$2` into the watchdog's own folder as number `$3` and proves the copy. What is only ever replaced as a whole
# (`$1`) may be copied by hard links; else by reflinks, else into an archive. Sets kind and digest.
keep_tree() {
    tree_digest "$2" || return 1
    before=$digest
    copy=$place/copy.$3
    kind=
    if [ "$1" = replaced ] && cp -al "$2" "$copy" 2>/dev/null; then
        kind=directory
    else
        rm -rf "$copy"
        if cp -a --reflink=always "$2" "$copy" 2>/dev/null; then
            kind=directory
        fi
    fi
    if [ -n "$kind" ]; then
        tree_digest "$copy" && [ "$digest" = "$before" ]
        return
    fi
    rm -rf "$copy"
    kind=tar
    if command -v zstd >/dev/null; then
        kind=tar.zst
    elif command -v gzip >/dev/null; then
        kind=tar.gz
    fi
    (cd "$2" && tar cf - .) 2>/dev/null | packer "$kind" >"$copy" || return 1
    # Unpacked once: only what came back whole is proven.
    unpack "$copy" "$place/proof.$3" && tree_digest "$place/proof.$3" && [ "$digest" = "$before" ] || return 1
    rm -rf "$place/proof.$3"
    tree_digest "$2" && [ "$digest" = "$before" ]
}

unpack() {
    rm -rf "$2"
    # Not `-C`, which takes a backslash in a name for the beginning of something else.
    mkdir "$2" && unpacker "$kind" <"$1" | (cd "$2" && tar xpf -) 2>/dev/null
}

capture() {
    count=$((count + 1))
    case $place in
        # It cannot keep itself.
        "$2"/*) return 1 ;;
    esac
    if [ -L "$2" ]; then
        to=$(readlink "$2" && echo .) || return 1
        encode "${to%??}"
        printf 'link %s\nto %s\n' "$3" "$encoded"
    elif ! [ -e "$2" ]; then
        printf 'absent %s\n' "$3"
    elif [ -d "$2" ]; then
        keep_tree "$1" "$2" "$count" || return 1
        printf 'tree %s\ncopy %s %s %s\n' "$3" "$count" "$kind" "$digest"
    elif [ -f "$2" ]; then
        file_digest "$2" || return 1
        before=$digest
        cp -p "$2" "$place/copy.$count" && file_digest "$place/copy.$count" && [ "$digest" = "$before" ] || return 1
        flush "$place/copy.$count"
        printf 'file %s\ncopy %s %s %s\n' "$3" "$count" "$(stat -c %a "$2")" "$digest"
    else
        return 1
    fi
}

# The reverse of `decode`, by od(1), for what was read from the disk.
encode() {
    encoded=$(printf '%s' "$1" | od -An -v -to1 | tr -s ' \n' '  ' | sed 's/^ *//; s/ *$//; s/ /\\0/g; s/^/\\0/')
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
                    fail 66 "could not keep and prove $path"
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

name_entry() {
    unit=pleach-watchdog-$(printf '%s' "$place" | cksum | tr ' ' -)
}

for_systemd() {
    printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/%/%%/g; s/\$/$$/g'
}

for_shell() {
    printf '%s' "$1" | sed "s/'/'\\\\''/g"
}

# Makes the entry by which it goes on after a boot, and writes which kind it is into `entry`.
enter() {
    name_entry
    entry=none
    at_boot="sh '$(for_shell "$0")' boot '$(for_shell "${place%/*}")'"
    case $0$place in
        # No entry can hold a line end.
        *'
'*) ;;
        *)
            if [ -d "$system/run/systemd/system" ] && command -v systemctl >/dev/null && enter_systemd; then
                entry=systemd
            elif [ -w "$system/etc/cron.d" ] && { command -v cron || command -v crond; } >/dev/null; then
                printf '@reboot root %s\n' "$(printf '%s' "$at_boot" | sed 's/%/\\%/g')" \
                    >"$system/etc/cron.d/$unit" && entry=cron
            elif [ -w "$system/etc/local.d" ]; then
                printf '#!/bin/sh\n%s\n' "$at_boot" >"$system/etc/local.d/$unit.start" &&
                    chmod 755 "$system/etc/local.d/$unit.start" && entry=local
            elif command -v crontab >/dev/null; then
                {
                    crontab -l 2>/dev/null | grep -v "# $unit\$"
                    printf '@reboot %s # %s\n' "$(printf '%s' "$at_boot" | sed 's/%/\\%/g')" "$unit"
                } | crontab - 2>/dev/null && entry='crontab'
            fi
            ;;
    esac
    printf '%s\n' "$entry" >"$place/entry"
    if [ "$entry" = none ]; then
        note 'there is no way to go on after a boot'
    fi
}

# A timer, so that a watch that was killed is begun again.
enter_systemd() {
    units=$system/etc/systemd/system
    [ -w "$units" ] || return 1
    {
        printf '[Unit]\nDescription=Takes a target of Pleach back unless somebody confirms\n\n[Service]\n'
        printf 'ExecStart=/bin/sh "%s" watch "%s"\n' "$(for_systemd "$0")" "$(for_systemd "$place")"
    } >"$units/$unit.service" || return 1
    {
        printf '[Unit]\nDescription=Begins the watch again\n\n[Timer]\nOnActiveSec=0\nOnBootSec=0\n'
        printf 'OnUnitInactiveSec=5\nAccuracySec=1\n\n[Install]\nWantedBy=timers.target\n'
    } >"$units/$unit.timer" || return 1
    systemctl daemon-reload && systemctl enable --now "$unit.timer"
} >/dev/null 2>&1

leave() {
    name_entry
    entry=none
    if [ -r "$place/entry" ]; then
        IFS= read -r entry <"$place/entry"
    fi
    case $entry in
        systemd)
            systemctl disable --now "$unit.timer" >/dev/null 2>&1
            rm -f "$system/etc/systemd/system/$unit.timer" "$system/etc/systemd/system/$unit.service"
            systemctl daemon-reload >/dev/null 2>&1
            ;;
        cron) rm -f "$system/etc/cron.d/$unit" ;;
        local) rm -f "$system/etc/local.d/$unit.start" ;;
        crontab) crontab -l 2>/dev/null | grep -v "# $unit\$" | crontab - ;;
    esac
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
            *) exit 0 ;;
        esac
    done
}

# The request of a way back, for the lease.
claim() {
    space=$(readlink /proc/self/ns/pid 2>/dev/null)
    apart=
    if [ "$space" != 'pid:[4026531836]' ]; then
        apart=" $space"
    fi
    printf '%suser watchdog\nhost %s\nboot %s\nprocess %s\nstart %s\n' "$about" "$(uname -n)" "$boot$apart" "$$" "$self"
    printf 'reason takes the target back\nlifetime 60000\nrestorer %s\nend\n' "${place##*/}"
}

# One attempt. Returns 0 if the phase changed, 1 if it has to be tried again.
restore() {
    answer=$(claim | sh "$guard" seize "$lease" "$token" 2>&1)
    case $? in
        0) ;;
        75) return 1 ;;
        98)
            if advance "$(state_text aside)"; then
                note 'stood aside: a newer lease was given'
                leave
            fi
            return 0
            ;;
        *)
            trouble "could not take the lease: $answer"
            return 1
            ;;
    esac
    mine=$(printf '%s\n' "$answer" | sed -n 's/^token //p')
    token=$mine
    # Before anything is changed, so that whoever goes on after a kill has the right token.
    if ! advance "$(state_text fired)"; then
        sh "$guard" release "$lease" "$mine" >/dev/null 2>&1
        return 0
    fi
    changed=no
    broken=
    index=0
    operation=
    while IFS= read -r row <&4; do
        case $row in
            'link '* | 'absent '* | 'file '* | 'tree '* | 'command '* | end)
                if [ -n "$operation" ]; then
                    perform || break
                fi
                operation=${row%% *}
                subject=${row#* }
                index=$((index + 1))
                : >"$place/words"
                ;;
            'to '* | 'copy '*) extra=${row#* } ;;
            'word '*) printf '%s\n' "${row#* }" >>"$place/words" ;;
        esac
    done 4<"$place/plan"
    if [ "$operation" = end ] && [ -z "$broken" ]; then
        if advance "$(state_text restored)"; then
            note 'restored'
            leave
        fi
        sh "$guard" release "$lease" "$mine" >/dev/null 2>&1
        return 0
    fi
    sh "$guard" release "$lease" "$mine" >/dev/null 2>&1
    return 1
}

trouble() {
    if [ "${told:-}" != "$1" ]; then
        note "failed: $1"
        told=$1
    fi
}

# Carries one instruction out, if it is not as it should be already. Returns 1 only if the whole attempt has to end: the
# others are tried also after one that failed.
perform() {
    if ! sh "$guard" renew "$lease" "$mine" >/dev/null 2>&1; then
        broken=yes
        return 1
    fi
    load
    if [ "$phase" != fired ]; then
        broken=yes
        return 1
    fi
    did=no
    why=
    path=
    case $operation in
        command) ;;
        *)
            decode "$subject"
            path=$decoded
            ;;
    esac
    case $operation in
        link) restore_link ;;
        absent) restore_absent ;;
        file) restore_file ;;
        tree) restore_tree ;;
        command) restore_command ;;
    esac
    outcome=$?
    if [ "$did" = yes ]; then
        changed=yes
        rm -f "$place"/done.*
        note "$operation $subject"
    fi
    if [ "$outcome" -ne 0 ]; then
        broken=yes
        trouble "$operation $subject: ${why:-refused by the system}"
    fi
    return 0
}

restore_link() {
    decode "$extra"
    if [ -L "$path" ]; then
        to=$(readlink "$path" && echo .)
        if [ "${to%??}" = "$decoded" ]; then
            return 0
        fi
    elif [ -d "$path" ]; then
        put_aside || return 1
    fi
    did=yes
    rm -f "$path.pleach-new"
    ln -s "$decoded" "$path.pleach-new" && mv -T -f "$path.pleach-new" "$path"
}

# Nothing is removed that this run may not have made: a directory is put beside.
restore_absent() {
    if [ -L "$path" ] || [ -f "$path" ]; then
        did=yes
        rm -f "$path"
    elif [ -e "$path" ]; then
        did=yes
        put_aside
    fi
}

put_aside() {
    beside=0
    while [ -e "$path.pleach-replaced.$beside" ] || [ -L "$path.pleach-replaced.$beside" ]; do
        beside=$((beside + 1))
    done
    did=yes
    mv "$path" "$path.pleach-replaced.$beside" && note "put aside: $subject.pleach-replaced.$beside"
}

restore_file() {
    # shellcheck disable=SC2086
    set -- $extra
    if [ -f "$path" ] && ! [ -L "$path" ] && file_digest "$path" && [ "$digest" = "$3" ] &&
        [ "$(stat -c %a "$path")" = "$2" ]; then
        return 0
    fi
    if [ -d "$path" ] && ! [ -L "$path" ]; then
        put_aside || return 1
    fi
    if ! file_digest "$place/copy.$1" || [ "$digest" != "$3" ]; then
        why='its copy is damaged'
        return 1
    fi
    did=yes
    cp -p "$place/copy.$1" "$path.pleach-new" && file_digest "$path.pleach-new" && [ "$digest" = "$3" ] &&
        flush "$path.pleach-new" && mv -f "$path.pleach-new" "$path"
}

restore_tree() {
    # shellcheck disable=SC2086
    set -- $extra
    kind=$2
    wanted=$3
    if [ -d "$path" ] && ! [ -L "$path" ] && tree_digest "$path" && [ "$digest" = "$wanted" ]; then
        return 0
    fi
    fresh=$path.pleach-new
    if ! tree_digest "$fresh" || [ "$digest" != "$wanted" ]; then
        rm -rf "$fresh"
        if [ "$kind" = directory ]; then
            cp -al "$place/copy.$1" "$fresh" 2>/dev/null || {
                rm -rf "$fresh"
                cp -a "$place/copy.$1" "$fresh" 2>/dev/null
            }
        else
            unpack "$place/copy.$1" "$fresh"
        fi
        if ! tree_digest "$fresh" || [ "$digest" != "$wanted" ]; then
            rm -rf "$fresh"
            why='its copy is damaged, or there is no room'
            return 1
        fi
    fi
    did=yes
    if [ -e "$path" ] || [ -L "$path" ]; then
        put_aside || return 1
    fi
    mv -T "$fresh" "$path"
}

restore_command() {
    # It ran, and nothing was put back since.
    if [ "$changed" = no ] && [ -e "$place/done.$index" ]; then
        return 0
    fi
    limit=${subject%% *}
    decode "${subject#* }"
    where=$decoded
    set --
    while IFS= read -r line <&5; do
        decode "$line"
        set -- "$@" "$decoded"
    done 5<"$place/words"
    set -- sh "$guard" run "$lease" "$mine" "$@"
    if command -v timeout >/dev/null; then
        set -- timeout "$limit" "$@"
    fi
    note "runs: $subject"
    (cd "$where" && exec "$@" 4<&- </dev/null >>"$place/output" 2>&1)
    code=$?
    if [ "$code" -ne 0 ]; then
        why="ended with $code"
        return 1
    fi
    : >"$place/done.$index"
}

operation=${1:?}
place=${2:?}
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
