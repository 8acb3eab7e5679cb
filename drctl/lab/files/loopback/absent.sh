#!/bin/sh
# In place of the machine's own, whose configuration and repository are none of the lab's business.
echo "${0##*/}: a lab on loopback addresses has no pgBackRest; the tiers root and user namespaces have it" >&2
exit 127
