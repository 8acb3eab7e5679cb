#!/bin/sh
# The second half of a host's PID 1: starts the services that /etc/lab/services names, and reaps orphans.
# A service that must not start at boot has a file of its name in /etc/lab/disabled.
set -u
umask 022

# supervise NAME USER COMMAND...: keeps a program running; a crash costs one second.
supervise() {
    name=$1 user=$2
    shift 2
    while :; do
        setpriv --reuid="$user" --regid="$user" --init-groups "$@" >>"/var/log/taskflow/$name.log" 2>&1
        sleep 1
    done &
}

start() {
    case $1 in
    sshd)
        mkdir -p /run/sshd
        /usr/sbin/sshd -E /var/log/sshd.log
        ;;
    postgresql)
        /opt/taskflow/bin/database boot &
        ;;
    pgbackrest)
        supervise pgbackrest postgres pgbackrest server
        ;;
    app)
        supervise app taskflow env HOME=/var/lib/taskflow /opt/taskflow/bin/app
        ;;
    haproxy)
        supervise haproxy root haproxy -db -f /etc/haproxy/haproxy.cfg
        ;;
    heartbeat)
        supervise heartbeat taskflow /opt/taskflow/bin/heartbeat
        ;;
    esac
}

mkdir -p /run/lab /run/lock /run/haproxy /run/postgresql /run/lock/pgbackrest
chown postgres:postgres /run/postgresql /run/lock/pgbackrest
while read -r service; do
    [ -e "/etc/lab/disabled/$service" ] || start "$service"
done </etc/lab/services
: >/run/lab/booted
# Waits for children that are its own or were left to it, for ever.
while :; do
    sleep infinity &
    wait $!
done
