#!/bin/sh
# All accounts of this host are one person, so there is nobody else to become: takes the options that drctl and the
# lab give to sudo, and runs the rest as who it is.
while [ $# -gt 0 ]; do
    case $1 in
    --)
        shift
        break
        ;;
    -u | -g) shift 2 ;;
    -*) shift ;;
    *) break ;;
    esac
done
exec "$@"
