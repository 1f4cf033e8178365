#!/bin/sh
# Take bundles back to the relay: rollback_to_relay.sh [BUNDLE [CONFIG] [OPTION …]], as `spore rollback --help` says.
# Without arguments: all bundles of config/bundles.toml. monitor_health.sh then says whether the system is healthy.
set -eu
spore=${SPORE:-$(command -v spore || echo "${0%/*}/../.venv/bin/spore")}
if [ $# -eq 0 ]; then
  set -- --minutes 0
fi
exec "$spore" rollback "$@"
