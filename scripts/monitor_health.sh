#!/bin/sh
# Is the running system healthy? monitor_health.sh [CONFIG] [OPTION …], as `spore monitor --help` says. Exit codes: 0 yes, 1 no, 2 cannot tell.
# Without arguments: the system of config/bundles.toml, watched for five minutes.
set -eu
spore=${SPORE:-$(command -v spore || echo "${0%/*}/../.venv/bin/spore")}
if [ $# -eq 0 ]; then
  set -- --minutes 5
fi
exec "$spore" monitor "$@"
