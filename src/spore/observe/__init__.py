"""What is known of a running system, shown: as metrics, in a terminal, in a browser, as logs and traces.

Nothing here is on the way of a message: whoever looks asks the system, and what is counted there is counted anyway.

Read in this order: `source` (a look at a system, from inside or from outside), `rates` (what has changed between two looks), `metrics`
(a look as Prometheus reads it), `listen` (where somebody can look by HTTP), `serving` (what a configuration asks for), `rows` (a look as a table), and for itself `tracing`.
"""
