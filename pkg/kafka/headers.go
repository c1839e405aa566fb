package kafka

import (
	"strings"
	"unsafe"

	"github.com/IBM/sarama"
)

// headerID is the CloudEvents id of a message.
const headerID = "ce_id"

// knownHeaders are the header names that nearly every message carries. Sharing their strings
// saves a dozen allocations per message.
var knownHeaders = []string{
	headerID, "ce_specversion", "ce_type", "ce_source", "ce_time", "ce_subject", "content-type", "traceparent",
	"ce_streamversion", "ce_position", "ce_epoch", "ce_correlationid", "ce_causationid", "ce_caller",
	"ce_role", "ce_digest", "ce_ifversion", "ce_after", "ce_replyto", "ce_status",
}

var knownNames = func() map[string]string {
	m := make(map[string]string, len(knownHeaders))
	for _, name := range knownHeaders {
		m[name] = name
	}
	return m
}()

// headerName is string(b), without an allocation for known names.
func headerName(b []byte) string {
	if s, ok := knownNames[string(b)]; ok {
		return s
	}
	return string(b)
}

// headerBytes views name as bytes, which must not be changed: encoding only reads them.
func headerBytes(name string) []byte {
	if name == "" {
		return []byte{}
	}
	return unsafe.Slice(unsafe.StringData(name), len(name))
}

// metadataOf is the metadata of a message with these headers. Its values share one allocation, but for
// those that many messages have in common, which the partition's reader keeps.
func metadataOf(headers []*sarama.RecordHeader, common map[string]string) map[string]string {
	size := 0
	for _, h := range headers {
		size += len(h.Value)
	}
	var values strings.Builder
	values.Grow(size)
	metadata := make(map[string]string, len(headers))
	for _, h := range headers {
		name := headerName(h.Key)
		switch name {
		case "ce_type", "ce_source", "ce_specversion", "content-type", "ce_role":
			value, ok := common[string(h.Value)]
			if !ok {
				value = string(h.Value)
				if common != nil && len(common) < maxCommon && len(value) <= maxCommonBytes {
					common[value] = value
				}
			}
			metadata[name] = value
		default:
			from := values.Len()
			values.Write(h.Value)
			metadata[name] = values.String()[from:]
		}
	}
	return metadata
}

// Bounds of the values that a reader keeps.
const (
	maxCommon      = 64
	maxCommonBytes = 128
)
