// Package stored is what the logs have in common between a batch and its rows: it checks
// a batch before anything is written, works out what the rows need beside the batch itself,
// and holds the encodings of the columns that have no type of their own.
package stored
