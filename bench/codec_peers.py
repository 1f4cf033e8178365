"""What the codec is compared with: other ways to carry a PoolSwap as bytes, each as fast as could be found.

All begin and end with the same `PoolSwap` and carry its 128-bit amounts without loss. A format that has no
integer as wide, or a slow one, gets an integer where 64 bits hold the amount and 16 bytes where they do not.
The frame around their bytes is Spore's header, written by hand, without the TLV inside it; what reading gives
is a plain tuple instead of a `Frame`. Both are to the peers' advantage.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from struct import Struct
from typing import Any, Generic, TypeVar
from zlib import crc32

import attrs
import cattrs
import cbor2
import msgpack  # type: ignore[import-untyped]
import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

from spore.services.messages import PoolSwap

__all__ = ["PEERS", "BytesSwap", "Peer", "framed"]

T = TypeVar("T")

_from_bytes = int.from_bytes
_U64_MAX = 2**64 - 1


@attrs.frozen
class Peer(Generic[T]):
    """A format: how to write the message, and how to read it back."""

    name: str
    write: Callable[[T], bytes]
    read: Callable[[bytes], T]


@attrs.frozen
class BytesSwap:
    """A PoolSwap whose amounts are 16 bytes already, so that msgspec converts and checks nothing itself."""

    event_time_ns: int
    block_number: int
    tx_index: int
    log_index: int
    tx_hash: bytes
    pool: bytes
    amount0_in: bytes
    amount1_in: bytes
    amount0_out: bytes
    amount1_out: bytes

    @classmethod
    def of(cls, m: PoolSwap) -> BytesSwap:
        amounts = (m.amount0_in, m.amount1_in, m.amount0_out, m.amount1_out)
        wide = [amount.to_bytes(16, "little") for amount in amounts]
        return cls(m.event_time_ns, m.block_number, m.tx_index, m.log_index, m.tx_hash, m.pool, *wide)


def _of_tuples(name: str, pack: Callable[[tuple[Any, ...]], bytes], unpack: Callable[[bytes], Any]) -> Peer[PoolSwap]:
    """A format that carries a tuple.

    For msgspec and msgpack this was quicker than amounts as two halves, as 16 bytes always or all four packed
    by `struct`; for msgspec also than a Struct with ``array_like``, which is one more object; for msgpack also
    than its hook for what it cannot pack; for cbor2 also than its own big integers.
    """

    def write(m: PoolSwap) -> bytes:
        a, b, c, d = m.amount0_in, m.amount1_in, m.amount0_out, m.amount1_out
        return pack((
            m.event_time_ns,
            m.block_number,
            m.tx_index,
            m.log_index,
            m.tx_hash,
            m.pool,
            a if a <= _U64_MAX else a.to_bytes(16, "little"),
            b if b <= _U64_MAX else b.to_bytes(16, "little"),
            c if c <= _U64_MAX else c.to_bytes(16, "little"),
            d if d <= _U64_MAX else d.to_bytes(16, "little"),
        ))  # fmt: skip

    def read(data: bytes) -> PoolSwap:
        time_ns, block, tx, log, tx_hash, pool, a, b, c, d = unpack(data)
        return PoolSwap(
            time_ns,
            block,
            tx,
            log,
            tx_hash,
            pool,
            a if a.__class__ is int else _from_bytes(a, "little"),
            b if b.__class__ is int else _from_bytes(b, "little"),
            c if c.__class__ is int else _from_bytes(c, "little"),
            d if d.__class__ is int else _from_bytes(d, "little"),
        )

    return Peer(name, write, read)


def _protobuf() -> Peer[PoolSwap]:
    """Its own implementation in C (upb). Setting fields is quicker than naming them to the constructor."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="swap.proto", package="bench", syntax="proto3")
    described = file.message_type.add(name="PoolSwap")
    for number, name in enumerate(attrs.fields_dict(BytesSwap), 1):
        form = kind.TYPE_UINT64 if number <= 4 else kind.TYPE_BYTES
        described.field.add(name=name, number=number, type=form, label=kind.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName("bench.PoolSwap"))

    def write(m: PoolSwap) -> bytes:
        p = made()
        p.event_time_ns = m.event_time_ns
        p.block_number = m.block_number
        p.tx_index = m.tx_index
        p.log_index = m.log_index
        p.tx_hash = m.tx_hash
        p.pool = m.pool
        # A field that is not set reads as no bytes, and those as 0.
        if amount := m.amount0_in:
            p.amount0_in = amount.to_bytes(16, "little")
        if amount := m.amount1_in:
            p.amount1_in = amount.to_bytes(16, "little")
        if amount := m.amount0_out:
            p.amount0_out = amount.to_bytes(16, "little")
        if amount := m.amount1_out:
            p.amount1_out = amount.to_bytes(16, "little")
        return p.SerializeToString()  # type: ignore[no-any-return]

    def read(data: bytes) -> PoolSwap:
        p = made.FromString(data)
        return PoolSwap(
            p.event_time_ns,
            p.block_number,
            p.tx_index,
            p.log_index,
            p.tx_hash,
            p.pool,
            _from_bytes(p.amount0_in, "little"),
            _from_bytes(p.amount1_in, "little"),
            _from_bytes(p.amount0_out, "little"),
            _from_bytes(p.amount1_out, "little"),
        )

    return Peer("protobuf", write, read)


def _json() -> Peer[PoolSwap]:
    """Python's JSON has integers of any width. Bytes as hex: cattrs's own base 85 is Python code and slower."""
    converter = cattrs.Converter(detailed_validation=False)
    converter.register_unstructure_hook(bytes, bytes.hex)
    converter.register_structure_hook(bytes, lambda text, _: bytes.fromhex(text))
    unstructure = converter.get_unstructure_hook(PoolSwap)
    structure = converter.get_structure_hook(PoolSwap)
    to_text = json.JSONEncoder(separators=(",", ":")).encode
    from_text = json.JSONDecoder().decode
    return Peer(
        "cattrs + json",
        lambda m: to_text(unstructure(m)).encode(),
        lambda data: structure(from_text(data.decode()), PoolSwap),
    )


_Amount = int | bytes
_SwapTuple = tuple[int, int, int, int, bytes, bytes, _Amount, _Amount, _Amount, _Amount]

PEERS: tuple[Peer[PoolSwap], ...] = (
    _of_tuples("msgspec", msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_SwapTuple).decode),
    _of_tuples("msgpack", msgpack.Packer().pack, msgpack.unpackb),
    _protobuf(),
    _of_tuples("cbor2", cbor2.dumps, cbor2.loads),
    Peer("pickle", lambda m: pickle.dumps(m, 5), pickle.loads),
    _json(),
)


FrameWriter = Callable[[PoolSwap, int, int], bytes]
FrameReader = Callable[[bytes], tuple[PoolSwap, int, int]]

_PREFIX = bytes.fromhex("efbeadde 01 01")
"""Magic, domain and version, which do not change."""
_pack_head = Struct("<6sBBQQI").pack
_unpack_header = Struct("<6sBBQQII").unpack_from
_pack_checksum = Struct("<I").pack


def framed(peer: Peer[PoolSwap]) -> tuple[FrameWriter, FrameReader]:
    """The peer's bytes behind Spore's 32-byte header. One call deep, as Spore's own frames are."""
    write, read = peer.write, peer.read

    def write_frame(message: PoolSwap, sequence: int, timestamp_ns: int) -> bytes:
        payload = write(message)
        head = _pack_head(_PREFIX, 0, 0, sequence, timestamp_ns, len(payload))
        # One checksum over both joined takes less time than continuing that of the first with the second.
        return head + _pack_checksum(crc32(head + payload)) + payload

    def read_frame(data: bytes) -> tuple[PoolSwap, int, int]:
        prefix, _source, flags, sequence, timestamp_ns, size, checksum = _unpack_header(data)
        payload = data[32:]
        if prefix != _PREFIX or flags > 7 or size != len(payload) or crc32(data[:28] + payload) != checksum:
            raise ValueError("a damaged frame")
        return read(payload), sequence, timestamp_ns

    return write_frame, read_frame
