#!/bin/sh
# Sends the application's database traffic to another server.
# usage: repoint ADDRESS   from now on, and after a reboot, sessions go to ADDRESS
#        repoint --drain   new sessions are refused; the old ones take three seconds at the most
#        repoint --resume  they go to where they went before
#        repoint --show    print where they go now
# Here no HAProxy stands between: the application reads the address anew for each of its sessions.
set -eu
target=/etc/taskflow/database
case ${1-} in
--show)
    cat "$target"
    ;;
--drain)
    : >"$target.drained"
    sleep 3 # the application gives no session longer than that
    echo "no session is open, and new ones are refused"
    ;;
--resume)
    rm -f "$target.drained"
    ;;
'' | *[!0-9.]* | *..* | .* | *.)
    echo "repoint: '${1-}' is not an IPv4 address; nothing was changed" >&2
    exit 1
    ;;
*)
    printf '%s\n' "$1" >"$target.new"
    sync "$target.new"
    mv "$target.new" "$target"
    rm -f "$target.drained"
    echo "database traffic goes to $1:5432"
    ;;
esac
