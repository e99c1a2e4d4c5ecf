"""A cluster of encoders: the one door to Dask.

Nine tenths of a build are encoding. So whoever makes an index reads, cuts and commits as ever, and only what the encoder is given
goes to the workers of a cluster, a shard at a time; what comes back is what the encoder here would give. An index that is made so
is the same as without.

A shard is a function of its texts alone. Where a worker dies, or a machine with all of its workers, what it was at is encoded by
others; workers may come while a build runs. Whoever made the index keeps what has come back, so that after whatever ended it the
next build encodes only the rest.

Dask's protocol is pickles between machines that trust each other: who can reach the scheduler or a worker can run code there, and
here. It listens to no address of ours: this process only connects.

Deliberately not here: reading, cutting and committing (`builder`), and starting schedulers and workers, which ``dask scheduler``
and ``dask worker`` do.
"""

from __future__ import annotations

from semsearch.cluster.spread import Spread, connected

__all__ = ["Spread", "connected"]
