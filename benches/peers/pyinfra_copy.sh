#!/bin/sh
# A folder on each host as it is here, hosts side by side: pyinfra. An answer is a host on which nothing had to be changed.
folder=$1 user=$2 source=$3 ports=$4
{
    echo "hosts = ["
    for port in $(echo "$ports" | tr , ' '); do
        echo "    ('h$port', {'ssh_hostname': '127.0.0.1', 'ssh_port': $port, 'ssh_user': '$user', 'ssh_key': '$folder/user', 'ssh_known_hosts_file': '$folder/known_hosts', 'ssh_allow_agent': False, 'place': '$folder/pyinfra-$port'}),"
    done
    echo "]"
} >"$folder/inventory.py"
cat >"$folder/deploy.py" <<END
from pyinfra import host
from pyinfra.operations import files
files.sync(name='copy', src='$source', dest=host.data.place)
END
cd "$folder" || exit 1
pyinfra -y --parallel 50 inventory.py deploy.py 2>&1 | sed 's/\x1b\[[0-9;]*m//g' | tee "$folder/pyinfra.log" | grep -c " No changes$" | awk '{ print "answers", $1 }'
