"""The wire codec, sans-IO: messages to frames and back. It never imports trio and has nothing async.

Read in this order: `header` (the 32 bytes), `tlv` (the heads in the payload), `walk` (the reference codec of
values: the authority), `compile` (the same, fast), `frame`, `encode`, `decode`, `plain` (frames as JSON).
"""

from spore.codec.decode import Decoder, decode
from spore.codec.encode import encode, encode_frame, encode_into, encoded_size
from spore.codec.frame import Frame, UnknownTlv
from spore.codec.header import (
    HEADER_SIZE,
    MAGIC,
    MAX_FRAME_SIZE,
    MAX_PAYLOAD_SIZE,
    VERSION,
    Flags,
    Header,
    peek,
)

__all__ = [
    "HEADER_SIZE",
    "MAGIC",
    "MAX_FRAME_SIZE",
    "MAX_PAYLOAD_SIZE",
    "VERSION",
    "Decoder",
    "Flags",
    "Frame",
    "Header",
    "UnknownTlv",
    "decode",
    "encode",
    "encode_frame",
    "encode_into",
    "encoded_size",
    "peek",
]
