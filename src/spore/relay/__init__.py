"""The relay: the same actors as processes of their own, losing and repeating nothing.

Read in this order. Sans-IO: `control` (what two ends say to each other about messages), `outgoing` and `incoming` (the
two ends of a link), `session` (a client's end of a connection), `switchboard` (the relay's). With trio: `carrier`
(sockets), `server` (the relay), `client` and `remote` (a reference whose actor is elsewhere).
"""
