package kafka

// headerID is the CloudEvents id of a message.
const headerID = "ce_id"

// knownHeaders are the header names that nearly every message carries. Sharing their strings
// and bytes saves a dozen allocations per message.
var knownHeaders = []string{
	headerID, "ce_specversion", "ce_type", "ce_source", "ce_time", "ce_subject", "content-type", "traceparent",
	"ce_streamversion", "ce_position", "ce_epoch", "ce_correlationid", "ce_causationid", "ce_caller",
	"ce_role", "ce_digest", "ce_ifversion", "ce_after", "ce_replyto",
}

var (
	knownNames = make(map[string]string, len(knownHeaders))
	knownBytes = func() map[string][]byte {
		m := make(map[string][]byte, len(knownHeaders))
		for _, name := range knownHeaders {
			knownNames[name] = name
			m[name] = []byte(name)
		}
		return m
	}()
)

// headerName is string(b), without an allocation for known names.
func headerName(b []byte) string {
	if s, ok := knownNames[string(b)]; ok {
		return s
	}
	return string(b)
}

// headerBytes is []byte(name), without an allocation for known names. It must not be changed.
func headerBytes(name string) []byte {
	if b, ok := knownBytes[name]; ok {
		return b
	}
	return []byte(name)
}
