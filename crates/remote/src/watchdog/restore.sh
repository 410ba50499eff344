# Carrying the watchdog's instructions out. Each looks first whether anything is to be done, so that all of them can be
# carried out again after a kill at any line.

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
    if ! refuse_deployer; then
        trouble 'could not make the target refuse what the deployer may still send'
        sh "$guard" release "$lease" "$mine" >/dev/null 2>&1
        return 1
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
        fi
        sh "$guard" release "$lease" "$mine" >/dev/null 2>&1
        return 0
    fi
    sh "$guard" release "$lease" "$mine" >/dev/null 2>&1
    return 1
}

# What is run and written over SSH is compared with the fence beside the guard: the deployer may still be there.
refuse_deployer() {
    fence=${guard%/*}/fence
    if ! [ -e "$fence" ]; then
        return 0
    fi
    (
        if command -v flock >/dev/null; then
            exec 9>>"$fence.lock" && flock 9 || exit 1
        fi
        IFS= read -r newest <"$fence" && number "$newest" || exit 1
        if [ "$newest" -lt "$mine" ]; then
            printf '%s\n' "$mine" >"$fence.watchdog" && flush "$fence.watchdog" && mv -f "$fence.watchdog" "$fence"
        fi
    ) 2>/dev/null
}

# Called before something is put back.
changing() {
    did=yes
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

