#!/bin/sh
# COMMANDS one after the other on each host, hosts side by side: pyinfra.
folder=$1 user=$2 commands=$3 ports=$4
{
    echo "hosts = ["
    for port in $(echo "$ports" | tr , ' '); do
        echo "    ('h$port', {'ssh_hostname': '127.0.0.1', 'ssh_port': $port, 'ssh_user': '$user', 'ssh_key': '$folder/user', 'ssh_known_hosts_file': '$folder/known_hosts', 'ssh_allow_agent': False}),"
    done
    echo "]"
} >"$folder/inventory.py"
{
    echo 'from pyinfra.operations import server'
    number=0
    while [ $number -lt "$commands" ]; do
        echo "server.shell(name='c$number', commands=['echo $number'])"
        number=$((number + 1))
    done
} >"$folder/deploy.py"
cd "$folder" || exit 1
pyinfra -y --parallel 50 inventory.py deploy.py 2>&1 | sed 's/\x1b\[[0-9;]*m//g' | grep -c ' Success$' | awk '{ print "answers", $1 }'
