# Copies of files and trees in `place`: making them, proving them, and the text of names. Where one cannot be made, `why` says so.

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

# Copies tree `$2` as number `$3` and proves the copy. What is only ever replaced as a whole (`$1`) may be copied by hard
# links; else by reflinks, else into an archive. Sets kind, digest, and for an archive the digest of that.
keep_tree() {
    why='not all of it can be read'
    tree_digest "$2" || return 1
    before=$digest
    archive=
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
        why=$changed_meanwhile
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
    why='there is no room for a copy, or no tar(1)'
    (cd "$2" && tar cf - .) 2>/dev/null | packer "$kind" >"$copy" || return 1
    file_digest "$copy" || return 1
    archive=$digest
    # Unpacked once: only what came back whole is proven.
    unpack "$copy" "$place/proof.$3" && tree_digest "$place/proof.$3" || return 1
    why=$changed_meanwhile
    [ "$digest" = "$before" ] || return 1
    rm -rf "$place/proof.$3"
    tree_digest "$2" && [ "$digest" = "$before" ]
}

unpack() {
    rm -rf "$2"
    # Not `-C`, which takes a backslash in a name for the beginning of something else.
    mkdir "$2" && unpacker "$kind" <"$1" | (cd "$2" && tar xpf -) 2>/dev/null
}

changed_meanwhile='it changed while it was copied'

# Copies what lies at `$2`, in the text of names `$3`, and prints the lines that it is put back from.
capture() {
    count=$((count + 1))
    case $place in
        "$2"/*)
            why='the copy would lie in what is copied'
            return 1
            ;;
    esac
    if [ -L "$2" ]; then
        to=$(readlink "$2" && echo .) || return 1
        encode "${to%??}"
        printf 'link %s\nto %s\n' "$3" "$encoded"
    elif ! [ -e "$2" ]; then
        printf 'absent %s\n' "$3"
    elif [ -d "$2" ]; then
        keep_tree "$1" "$2" "$count" || return 1
        printf 'tree %s\ncopy %s %s %s %s\n' "$3" "$count" "$kind" "$digest" "$archive"
    elif [ -f "$2" ]; then
        why='it cannot be read'
        file_digest "$2" || return 1
        before=$digest
        why='there is no room for a copy, or it changed meanwhile'
        cp -p "$2" "$place/copy.$count" && file_digest "$place/copy.$count" && [ "$digest" = "$before" ] || return 1
        flush "$place/copy.$count"
        printf 'file %s\ncopy %s %s %s\n' "$3" "$count" "$(stat -c %a "$2")" "$digest"
    else
        why='it is neither a file nor a directory nor a link'
        return 1
    fi
}

# The reverse of `decode`, by od(1), for what was read from the disk.
encode() {
    encoded=$(printf '%s' "$1" | od -An -v -to1 | tr -s ' \n' '  ' | sed 's/^ *//; s/ *$//; s/ /\\0/g; s/^/\\0/')
}

