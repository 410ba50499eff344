# Files and trees as they were before a run.
#
#   keep PLACE PATH...   copies what lies at each path into PLACE and proves the copies
#   prove PLACE          the copies are whole, and there is nothing in the way of putting them back
#   put-back PLACE       puts back what is not as it was
#   discard PLACE        removes the copies
#   stage PLACE FROM     makes PLACE hold the same copies as FROM, none of which was put back
#
# Paths are absolute, in the text of names. Ends with 66 where that cannot be done for one of them.
#
# What was put back once stays as it is from then on, however often and by whomever it is asked for: whatever works with it
# has begun to write to it again.
#
# Run with its own text in `script`; `keep` leaves that in PLACE, so that the target can put it all back by itself.

changing() {
    did=yes
    : >"$place/changed"
}

note() {
    printf '%s\n' "$1"
}

# Calls `$1` for each thing that is kept; fails where the list of them is not whole.
each() {
    operation=
    while IFS= read -r row <&4; do
        case $row in
            'link '* | 'absent '* | 'file '* | 'tree '* | end)
                if [ -n "$operation" ]; then
                    decode "$subject"
                    path=$decoded
                    why=
                    "$1"
                fi
                operation=${row%% *}
                subject=${row#* }
                extra=
                ;;
            'to '* | 'copy '*) extra=${row#* } ;;
        esac
    done 4<"$place/plan"
    [ "$operation" = end ]
}

keep() {
    home=$place
    place=$home.new.$$
    rm -rf "$home".new.*
    mkdir -p "$place" || fail 74 "could not make $place"
    count=0
    for subject in "$@"; do
        decode "$subject"
        path=$decoded
        tries=0
        until capture in-place "$path" "$subject" >"$place/row"; do
            tries=$((tries + 1))
            if [ "$why" != "$changed_meanwhile" ] || [ "$tries" -ge 3 ]; then
                rm -rf "$place"
                fail 66 "$path: $why"
            fi
            rm -rf "$place/copy.$count" "$place/proof.$count"
        done
        cat "$place/row" >>"$place/plan" || fail 74 "could not write in $place"
    done
    rm -f "$place/row"
    # shellcheck disable=SC2154
    printf '%s\n' "$script" >"$place/script" || fail 74 "could not write in $place"
    printf 'end\n' >>"$place/plan" || fail 74 "could not write in $place"
    sync -f "$place" 2>/dev/null || sync
    rm -rf "$home"
    mv "$place" "$home" || fail 74 "could not make $home"
    place=$home
    each tell_row
}

tell_row() {
    # shellcheck disable=SC2086
    set -- $operation $extra
    case $operation in
        tree) printf 'tree %s %s\n' "$3" "$subject" ;;
        *) printf '%s - %s\n' "$operation" "$subject" ;;
    esac
}

prove_row() {
    # shellcheck disable=SC2086
    set -- $extra
    case $operation in
        file) file_digest "$place/copy.$1" && [ "$digest" = "$3" ] ;;
        tree)
            if [ "$2" = directory ]; then
                tree_digest "$place/copy.$1" && [ "$digest" = "$3" ]
            else
                file_digest "$place/copy.$1" && [ "$digest" = "$4" ]
            fi
            ;;
    esac || fail 66 "$path: its copy is damaged"
    above=${path%/*}
    if [ -d "${above:-/}" ] && ! [ -w "${above:-/}" ]; then
        fail 66 "$path: nothing may be put there"
    fi
    tell_row
}

put_back_row() {
    did=no
    "restore_$operation" || fail 66 "$path: ${why:-refused by the system}"
    if [ "$did" = yes ]; then
        note "put back: $subject"
    fi
}

put_back() {
    if ! [ -e "$place/restored" ]; then
        each put_back_row || fail 65 "$place/plan is damaged"
        # Before it counts as done: it is put back but once.
        sync
        if [ -e "$place/changed" ]; then
            : >"$place/restored" || fail 74 "could not write in $place"
            flush "$place/restored"
            flush "$place"
        fi
    fi
    if [ -e "$place/changed" ]; then
        note 'changed'
    fi
}

# Trees are copied: what is put back may be linked to what it was taken from, and is written to from then on.
stage() {
    from=$1
    home=$place
    if [ -e "$home" ]; then
        return 0
    fi
    place=$home.new.$$
    rm -rf "$home".new.*
    (umask 077 && mkdir -p "$place") || fail 74 "could not make $place"
    for one in "$from"/*; do
        name=${one##*/}
        case $name in
            restored | changed | stopped | lock) continue ;;
        esac
        if [ -d "$one" ]; then
            cp -a --reflink=auto "$one" "$place/$name" 2>/dev/null || {
                rm -rf "$place/${name:?}"
                cp -a "$one" "$place/$name"
            }
        else
            ln "$one" "$place/$name" 2>/dev/null || cp -p "$one" "$place/$name"
        fi || {
            rm -rf "$place"
            fail 74 "could not write in $place"
        }
    done
    sync -f "$place" 2>/dev/null || sync
    mv "$place" "$home" || fail 74 "could not make $home"
}

main() {
    operation=${1:?}
    place=${2:?}
    shift 2
    case $operation in
        keep) keep "$@" ;;
        discard) rm -rf "$place" "$place".new.* ;;
        stage)
            decode "${1:?}"
            stage "$decoded"
            ;;
        prove | put-back)
            if ! [ -r "$place/plan" ]; then
                fail 66 "$place: the copies are gone"
            fi
            case $operation in
                prove) each prove_row || fail 65 "$place/plan is damaged" ;;
                put-back) put_back ;;
            esac
            ;;
        *) fail 64 "there is no operation $operation" ;;
    esac
}

main "$@" </dev/null
exit $?
