"""The relay: the same actors as processes of their own, losing and repeating nothing.

Read in this order. Sans-IO: `control` (what two ends say to each other about messages), `outgoing` and `incoming` (the
two ends of a link), `session` (a client's end of a connection, with `names` and `unread`), `peer` and `switchboard`
(the relay's), `token` and `quiet` (who gets in, and what others cause to be logged). With trio: `carrier`
(sockets), `server` (the relay), `client` with `delivery`, and `remote` (a reference whose actor is elsewhere). The journal: `journal` and
`journal_file` (what is on the disk), `streams` and `shelf` (how it is named there), `intake`, `outlets` and `keeper` (its
links to and from clients).
"""

from spore.relay.address import Address, TlsFiles
from spore.relay.client import Client, open_client
from spore.relay.journal import Journal
from spore.relay.peer import Limits
from spore.relay.remote import RemoteRef
from spore.relay.server import Relay, open_relay
from spore.relay.switchboard import Switchboard

__all__ = [
    "Address",
    "Client",
    "Journal",
    "Limits",
    "Relay",
    "RemoteRef",
    "Switchboard",
    "TlsFiles",
    "open_client",
    "open_relay",
]
