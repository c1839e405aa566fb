package kafka

import (
	"fmt"
	"maps"
	"testing"

	"github.com/IBM/sarama"
)

func TestHeadersBecomeMetadataWhateverTheyHold(t *testing.T) {
	common := make(map[string]string)
	for i := range 3 * maxCommon { // more values than are kept, and the same ones again
		want := map[string]string{
			"ce_id": fmt.Sprint("id-", i), "ce_type": fmt.Sprint("type-", i%(2*maxCommon)), "ce_role": "",
			"x-bytes": "\xff\x00", "": "no name", "ce_source": string(make([]byte, maxCommonBytes+1)),
		}
		var headers []*sarama.RecordHeader
		for name, value := range want {
			headers = append(headers, &sarama.RecordHeader{Key: headerBytes(name), Value: []byte(value)})
		}
		for _, shared := range []map[string]string{common, nil} {
			if got := metadataOf(headers, shared); !maps.Equal(got, want) {
				t.Fatalf("message %d: %q instead of %q", i, got, want)
			}
		}
	}
	if len(common) != maxCommon {
		t.Errorf("%d values are kept, at most %d are to be", len(common), maxCommon)
	}
	if got := metadataOf([]*sarama.RecordHeader{{Key: []byte("ce_type"), Value: nil}}, nil); got["ce_type"] != "" || len(got) != 1 {
		t.Errorf("a header without a value becomes %q", got)
	}
}

func TestMetadataOfACommandTakesFewAllocations(t *testing.T) {
	m := command(1).Metadata
	var headers []*sarama.RecordHeader
	for name, value := range m {
		headers = append(headers, &sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	common := make(map[string]string)
	metadataOf(headers, common)
	if n := testing.AllocsPerRun(100, func() { metadataOf(headers, common) }); n > float64(len(headers))/2 {
		t.Errorf("%v allocations for %d headers", n, len(headers))
	}
}
