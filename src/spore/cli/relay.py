"""``spore relay``: run a relay."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import trio
from cyclopts import Parameter

from spore.cli.app import FAILED
from spore.errors import JournalError, UsageError, first_cause
from spore.relay import Address, Journal, Limits, Switchboard, TlsFiles, open_relay
from spore.relay.deaths import DEFAULT_DEATHS
from spore.relay.session import DEFAULT_HEARTBEAT_S
from spore.relay.token import read_tokens

__all__ = ["relay", "tls_files"]

MiB = 1024 * 1024


def relay(
    *,
    socket: Path | None = None,
    tcp: str | None = None,
    journal: Path | None = None,
    journal_mib: Annotated[int, Parameter(name="--journal-mib")] = 1_024,
    deaths: int = DEFAULT_DEATHS,
    token_file: Path | None = None,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    tls_ca: Path | None = None,
    plain_tcp: bool = False,
    heartbeat_s: Annotated[float, Parameter(name="--heartbeat-s")] = DEFAULT_HEARTBEAT_S,
    max_frame_mib: Annotated[int, Parameter(name="--max-frame-mib")] = 16,
) -> int:
    """Run a relay until it is told to stop (SIGTERM or Ctrl-C).

    Each line on stdout says where it listens, once it does. Clients that are cut off by a restart come back by themselves,
    and nothing is lost or repeated. When its journal fails, links and topics go on: streams wait, and the log says why.

    Exit codes: 0 it was told to stop · 1 the journal cannot be used · 2 bad input or usage · 130 interrupted.

    Parameters
    ----------
    socket
        Listen on a Unix socket, for this user alone. One that a dead relay left is replaced.
    tcp
        Listen on HOST:PORT; port 0 lets the system choose. Off the loopback this needs certificates.
    journal
        Keep the streams that clients send to in this directory, so that subscribers can come late and come back.
    journal_mib
        The most that the journal may take, in MiB. Beyond that, what everybody has acknowledged is forgotten, and if that is
        not enough senders wait.
    token_file
        Only clients that know the token in this file may connect. Without the option the variable SPORE_TOKEN is looked at. While
        one token replaces another, the file holds both, a line each, the new one first; the log says who still shows the old one.
    tls_cert
        The relay's certificate, in PEM.
    tls_key
        Its key.
    tls_ca
        The certificate of the authority that has signed the clients' certificates.
    plain_tcp
        Allow TCP without TLS off the loopback. Everybody on the way can then read and change what passes.
    heartbeat_s
        Say something to each client at least every so many seconds. A client that is silent for three times that, or
        three times its own heartbeat if it is longer, counts as lost.
    max_frame_mib
        The largest frame to accept, in MiB; the format's limit is 16.
    """
    tls = tls_files(tls_cert, tls_key, tls_ca)
    addresses = [Address(path=str(socket))] if socket is not None else []
    if tcp is not None:
        addresses.append(_open_to(tcp, safe=tls is not None or plain_tcp))
    if not addresses:
        raise UsageError("nowhere to listen: give --socket PATH, --tcp HOST:PORT, or both")
    if not 1 <= max_frame_mib <= 16:
        raise UsageError(f"--max-frame-mib is 1 to 16, not {max_frame_mib}")
    if not 0.01 <= heartbeat_s <= 3_600:
        raise UsageError(f"--heartbeat-s is 0.01 to 3600, not {heartbeat_s:g}")
    if journal_mib < 1:
        raise UsageError(f"--journal-mib is 1 or more, not {journal_mib}")
    limits = Limits(frame_size=max_frame_mib * MiB)
    board = Switchboard(token=read_tokens(token_file), heartbeat_s=heartbeat_s, limits=limits)
    if deaths < 1:
        raise UsageError(f"--deaths is 1 or more, not {deaths}")
    if journal is None:
        trio.run(_serve, addresses, board, tls, plain_tcp, None, deaths)
        return 0
    code = 0
    try:
        with closing(Journal.open(journal, limit_bytes=journal_mib * MiB)) as kept:
            trio.run(_serve, addresses, board, tls, plain_tcp, kept, deaths)
    except* JournalError as group:
        print(f"spore: {first_cause(group)}", file=sys.stderr)
        code = FAILED
    return code


def _open_to(tcp: str, *, safe: bool) -> Address:
    """Where to listen for TCP.

    Raises:
        UsageError: if it is no address, or one that would be open to others without anybody having said that this is meant.
    """
    try:
        address = Address.parse(f"tcp:{tcp}")
    except UsageError:
        raise UsageError(
            f"--tcp {tcp} is no place to listen; write --tcp HOST:PORT, such as --tcp 127.0.0.1:9400"
        ) from None
    if not safe and not address.is_loopback:
        raise UsageError(
            f"--tcp {tcp} can be reached from other machines: give --tls-cert, --tls-key and --tls-ca, or --plain-tcp if everybody on the "
            "way may read and change what passes, or listen at 127.0.0.1"
        )
    return address


async def _serve(
    addresses: list[Address],
    board: Switchboard,
    tls: TlsFiles | None,
    plain_tcp: bool,
    journal: Journal | None,
    deaths: int,
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        context = tls.for_server() if tls is not None else None
        relay = open_relay(addresses, board=board, tls=context, plain_tcp=plain_tcp, journal=journal, deaths=deaths)
        async with relay as running:
            for address in running.addresses:
                print(f"listening at {address}", flush=True)
            async for number in signals:
                if number == signal.SIGINT:
                    raise KeyboardInterrupt
                return


def tls_files(certificate: Path | None, key: Path | None, ca: Path | None) -> TlsFiles | None:
    """The three files of TLS, or None.

    Raises:
        UsageError: if only some are given.
    """
    given = [file for file in (certificate, key, ca) if file is not None]
    if not given:
        return None
    if certificate is None or key is None or ca is None:
        raise UsageError("TLS needs all of --tls-cert, --tls-key and --tls-ca")
    return TlsFiles(certificate=certificate, key=key, ca=ca)
