"""A second pair of services: what a desk holds, and whether that is too much. `docs/how-to/migrate.md` takes it from the relay to a bundle.

Read in this order: `messages` (what is said), `positions` and `limits` (the services, which know neither trio nor modes), `actors` (a few
lines around each), `relay_service` (positions as the service behind the old relay, which speaks frames), and the two configurations.
"""
