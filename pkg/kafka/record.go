package kafka

import "time"

// AnyPartition lets the producer choose the partition by the record's key.
const AnyPartition int32 = -1

// Header is one Kafka record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is one Kafka message as read, or to be produced.
type Record struct {
	Topic     string
	Partition int32 // AnyPartition: by key
	Offset    int64 // as read; ignored when produced
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
	Time      time.Time
}

// Header returns the value of the first header with that key, or "".
func (r *Record) Header(key string) string {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			return string(r.Headers[i].Value)
		}
	}
	return ""
}

// Partition names a partition of a topic.
type Partition struct {
	Topic string
	ID    int32
}
