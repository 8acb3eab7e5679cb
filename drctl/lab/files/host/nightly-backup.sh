#!/bin/sh
# The nightly job: a full backup, expiry, replication. Due at 02:00 Africa/Johannesburg.
exec /opt/taskflow/bin/backups nightly
