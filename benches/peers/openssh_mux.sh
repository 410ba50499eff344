#!/bin/sh
# COMMANDS one after the other on each host, hosts side by side: OpenSSH, one connection a host.
folder=$1 user=$2 commands=$3 ports=$4
one() {
    answers=0
    number=0
    while [ $number -lt "$commands" ]; do
        said=$(ssh -F none -i "$folder/user" -o IdentitiesOnly=yes -o IdentityAgent=none -o "UserKnownHostsFile=$folder/known_hosts" \
            -o GlobalKnownHostsFile=none -o BatchMode=yes -o ControlMaster=auto -o "ControlPath=$folder/mux-$1" -o ControlPersist=60 \
            -p "$1" "$user@127.0.0.1" "echo $number" 2>/dev/null)
        [ "$said" = "$number" ] && answers=$((answers + 1))
        number=$((number + 1))
    done
    ssh -F none -o "ControlPath=$folder/mux-$1" -O exit -p "$1" "$user@127.0.0.1" 2>/dev/null
    echo "$answers"
}
for port in $(echo "$ports" | tr , ' '); do
    one "$port" &
done | awk '{ sum += $1 } END { print "answers", sum }'
wait
