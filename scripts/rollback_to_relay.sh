#!/bin/sh
# Take a bundle back to the relay: rollback_to_relay.sh BUNDLE [CONFIG] [OPTION …], as `spore rollback --help` says.
set -eu
exec "${SPORE:-spore}" rollback "$@"
