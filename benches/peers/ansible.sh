#!/bin/sh
# COMMANDS one after the other on each host, hosts side by side: Ansible with pipelining, one fork a host.
folder=$1 user=$2 commands=$3 ports=$4
{
    echo '[all]'
    for port in $(echo "$ports" | tr , ' '); do
        echo "h$port ansible_host=127.0.0.1 ansible_port=$port ansible_user=$user ansible_python_interpreter=/usr/bin/python3"
    done
} >"$folder/inventory"
{
    printf -- '- hosts: all\n  gather_facts: false\n  tasks:\n'
    number=0
    while [ $number -lt "$commands" ]; do
        printf '    - raw: echo %s\n' $number
        number=$((number + 1))
    done
} >"$folder/play.yml"
export ANSIBLE_PIPELINING=1 ANSIBLE_FORKS=50 ANSIBLE_NOCOLOR=1 ANSIBLE_LOCAL_TEMP="$folder/ansible" ANSIBLE_HOME="$folder/ansible"
export ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=60s -i $folder/user -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=$folder/known_hosts"
ansible-playbook -i "$folder/inventory" "$folder/play.yml" 2>/dev/null |
    awk '/ok=/ { split($0, a, "ok="); split(a[2], b, " "); sum += b[1] } END { print "answers", sum + 0 }'
