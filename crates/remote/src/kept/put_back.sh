# Putting one thing back: `path`, in the text of names `subject`, as `extra` says. Each looks first whether anything is to be
# done, and calls `changing` before it changes something; `note` is told of what is put aside, `why` of what is wrong.

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
    changing
    rm -f "$path.pleach-new"
    ln -s "$decoded" "$path.pleach-new" && mv -T -f "$path.pleach-new" "$path"
}

# Nothing is removed that this run may not have made: a directory is put beside.
restore_absent() {
    if [ -L "$path" ] || [ -f "$path" ]; then
        changing
        rm -f "$path"
    elif [ -e "$path" ]; then
        changing
        rmdir "$path" 2>/dev/null || put_aside
    fi
}

put_aside() {
    beside=0
    while [ -e "$path.pleach-replaced.$beside" ] || [ -L "$path.pleach-replaced.$beside" ]; do
        beside=$((beside + 1))
    done
    changing
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
    changing
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
    changing
    if [ -e "$path" ] || [ -L "$path" ]; then
        put_aside || return 1
    fi
    mv -T "$fresh" "$path"
}

