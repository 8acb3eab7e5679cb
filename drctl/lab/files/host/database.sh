#!/bin/sh
# PostgreSQL on this host: what systemctl does elsewhere.
# usage: database start|stop|status|disable|enable|boot
#   disable  stops it at once (-m immediate) and keeps it from starting at boot: the fence over SSH
#   enable   lets it start at boot again; does not start it
#   boot     what init runs: start, unless disabled
set -eu
pgdata=/var/lib/postgresql/15/main
pgbin=/usr/lib/postgresql/15/bin
disabled=/etc/lab/disabled/postgresql
# LAB_ONE_ACCOUNT: a host of the loopback tier, whose processes are all one person's.
if [ "$(id -u)" != 0 ] && [ -z "${LAB_ONE_ACCOUNT-}" ]; then
    exec sudo -n -- "$0" "$@"
fi
cd /

as_postgres() {
    if [ -n "${LAB_ONE_ACCOUNT-}" ]; then
        "$@"
        return
    fi
    setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/var/lib/postgresql "$@"
}

start() {
    as_postgres "$pgbin/pg_ctl" -D "$pgdata" -w -t 60 -l /var/log/postgresql/start.log start >/dev/null
}

running() {
    as_postgres "$pgbin/pg_ctl" -D "$pgdata" status >/dev/null 2>&1
}

case ${1-} in
boot)
    # Nothing of the last boot runs any more, but its process number may be somebody else's now, and
    # PostgreSQL would then refuse to start.
    rm -f "$pgdata/postmaster.pid"
    if [ -e "$disabled" ] || [ ! -e "$pgdata/PG_VERSION" ]; then
        exit 0
    fi
    start
    ;;
start)
    if running; then
        echo "PostgreSQL runs already"
    else
        start
        echo "PostgreSQL runs"
    fi
    ;;
stop)
    if running; then
        as_postgres "$pgbin/pg_ctl" -D "$pgdata" -m fast -w -t 60 stop >/dev/null
    fi
    echo "PostgreSQL is stopped"
    ;;
disable)
    mkdir -p /etc/lab/disabled
    : >"$disabled"
    sync "$disabled"
    if running; then
        as_postgres "$pgbin/pg_ctl" -D "$pgdata" -m immediate -w -t 30 stop >/dev/null
    fi
    echo "PostgreSQL is stopped and will not start at boot"
    ;;
enable)
    rm -f "$disabled"
    echo "PostgreSQL will start at boot"
    ;;
status)
    if [ -e "$disabled" ]; then enabled=disabled; else enabled=enabled; fi
    if running; then
        echo "running $enabled"
    else
        echo "stopped $enabled"
        exit 3
    fi
    ;;
*)
    echo "usage: database start|stop|status|disable|enable|boot" >&2
    exit 2
    ;;
esac
