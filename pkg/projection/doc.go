// Package projection keeps the read side up to date: it consumes topics in batches and
// folds them into the tables of a view, which the query services read.
//
//	topic partitions ──Deliver──> one bounded queue ──Step──> one transaction:
//	                                                          checkpoints, rows, broken keys
//
// A View says what records mean; Documents (a JSON document per stream) and Rows (plain or
// ranked upserts) collect what a batch changes, so that a batch costs a few statements
// however many records it has. A Projection drives the view. It is a kafka.BatchHandler:
// the consumer hands it the records of its partitions, which wait in one queue, and Run takes
// whatever waits from all partitions and commits it together. The batch is what came in
// while the last one was being written, so there is no timer and no batch size to tune.
// A view that is far behind takes large batches, since an index that is written in no order
// costs a page for each entry in a small one, and folds the next batch while one is being
// written (Twin). Rows that have an end are deleted a few at a time (Keeper).
//
// # What holds
//
// A view equals the fold of its topics at its checkpoints. Rows and checkpoints are written
// in one transaction. A checkpoint (next offset, log epoch, log position) moves by
// compare-and-set, and every assignment of a partition raises its fence, so that an earlier
// owner that has not noticed yet can write nothing. Records below the checkpoint, and events
// at or below its log position, are repeats and are skipped. A database that has lost its
// last commits (stores do not wait for the disk) has lost the checkpoints with the rows: the
// loop notices, and reads those records from the topic again.
//
// # A log that was restored
//
// Where a relay begins a new epoch in a partition, events that the view has folded may have never
// happened. The projection looks back for their keys, takes back what those have written (View.Forget),
// folds what is left of them anew, and goes on from the beginning of the epoch: its
// first event may have a version that the view had seen before, with other contents. Until that is
// done the partition waits. What adds up over keys is taken back too, by a Rollup.
//
// # What cannot be folded
//
// A record that its view fails on breaks its key in its topic: the key is marked as broken in
// the transaction of the checkpoint, its later records are skipped, and everything else goes
// on. Answers, metrics and logs say so (Projection.Broken, Observer). Projection.Repair
// folds the key anew from the topic. An error of the database is no such record's fault: the
// step is tried again, with backoff, while the partitions wait.
//
// # Builds
//
// A view is rebuilt beside the live one. Builds owns the builds of a version: each is a set of tables of
// its own (orderview_orders_v6_b2), with checkpoints, broken keys and a consumer group of its own,
// which every instance of the view takes part in. Views and queries know nothing of that: a view's
// statements get the names of the build on their way to the store, and for queries the plain names
// (orderview_orders_v6) are SQL views of the active build's tables.
//
// A build that has come near the active one takes over: the active one's checkpoints are frozen, which no
// step and no assignment can go against; the other one catches up with where they stand; and one
// transaction redefines the SQL views. So each statement sees one build, a later one sees no less than an earlier
// one, and nothing is refused meanwhile. The previous build is kept, and can be gone back to in the same way.
// Every step is in the database, and any instance goes on where another one was killed.
//
// Builds.Verify compares the active build with a fresh fold of its topics, of some keys or of all rows.
package projection
