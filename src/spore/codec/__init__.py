"""The wire codec, sans-IO: messages to frames and back. It never imports trio and has nothing async.

Read in this order: `header` (the 32 bytes), `tlv` (the heads in the payload), `frame`, `walk` (the reference codec
of values: the authority); then the same, fast: `emit` (the source of a function in the making), `write`, `read` and
`size` (what emits code for values), `fixed` and `varying` (whole frames in one go), `compile` (all of it for one
class); then `encode`, `decode`, `runs` (what a stream repeats), `plain` (frames as JSON); at last `schema_head` and `recording` (files of frames).
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
from spore.codec.recording import RecordingDecoder
from spore.codec.schema_head import is_schema_head, schema_head
from spore.codec.verify import wire_difference

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
    "RecordingDecoder",
    "UnknownTlv",
    "decode",
    "encode",
    "encode_frame",
    "encode_into",
    "encoded_size",
    "is_schema_head",
    "peek",
    "schema_head",
    "wire_difference",
]
