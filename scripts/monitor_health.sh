#!/bin/sh
# Is the running system healthy? monitor_health.sh [CONFIG] [OPTION …], as `spore monitor --help` says. Exit codes: 0 yes, 1 no, 2 cannot tell.
set -eu
exec "${SPORE:-spore}" monitor "$@"
