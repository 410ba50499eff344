#!/bin/sh
# One file of a folder on each host as it is here, hosts side by side: Ansible with pipelining, one fork a host. An answer is a
# host on which nothing had to be changed.
folder=$1 user=$2 source=$3 ports=$4
{
    echo '[all]'
    for port in $(echo "$ports" | tr , ' '); do
        echo "h$port ansible_host=127.0.0.1 ansible_port=$port ansible_user=$user ansible_python_interpreter=/usr/bin/python3 place=$folder/ansible-core-$port"
    done
} >"$folder/inventory"
cat >"$folder/play.yml" <<END
- hosts: all
  gather_facts: false
  tasks:
    - copy: { src: "$source/file_0", dest: "{{ place }}/file_0", mode: preserve }
END
export ANSIBLE_PIPELINING=1 ANSIBLE_FORKS=50 ANSIBLE_NOCOLOR=1 ANSIBLE_LOCAL_TEMP="$folder/ansible" ANSIBLE_HOME="$folder/ansible"
export ANSIBLE_SSH_ARGS="-o ControlMaster=auto -o ControlPersist=60s -i $folder/user -o IdentitiesOnly=yes -o IdentityAgent=none -o UserKnownHostsFile=$folder/known_hosts"
ansible-playbook -i "$folder/inventory" "$folder/play.yml" 2>/dev/null |
    grep -c "ok=1 *changed=0 *unreachable=0 *failed=0" | awk '{ print "answers", $1 }'
