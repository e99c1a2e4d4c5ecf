"""An index in Milvus: `connect` to it by its address.

What Milvus cannot do and how it is done all the same: it has no transactions, so every entity says from which draft on it is
there and since which it is gone, and one entity, the record, says which draft counts (`draft`); its BM25 counts what is long
gone, and each segment for itself, so it only proposes candidates, which are scored by the formula here (`scoring`); no field
takes more than 65,535 bytes, so what is long is cut in pieces (`entities`).

On a cluster, whoever reads passes on the timestamp of the last write that its generation consists of, and Milvus answers only
when it has come that far: a new record is never read with older data. No cluster was ever run here: that rests on what Milvus
promises. What was run is ``milvus-lite server``, a process of its own which speaks the same protocol.

Deliberately not here: ranking, and what is made of a generation.
"""

from __future__ import annotations

from semsearch.engines.milvus.engine import connect

__all__ = ["connect"]
