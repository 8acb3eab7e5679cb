#!/bin/sh
# Joins the control groups that are named before "--", then becomes the command after it: so a host's
# processes are counted, limited and frozen from their first instruction on.
set -eu
while [ "$1" != -- ]; do
    echo $$ >"$1/cgroup.procs"
    shift
done
shift
exec "$@"
