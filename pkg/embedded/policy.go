package embedded

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kfake numbers a partition from 0 again when it starts on one that holds no record, however many
// it has held: consumers would then skip the new ones. So nothing may empty a partition:
// retention goes by size only, since time empties one that is idle, and deleting records leaves
// the last one. The rules hold for what clients ask of the broker, too.

// minRetainBytes is well above the largest batch, so that retention by size never takes the last
// one.
const minRetainBytes = 8 << 20

// kept are the topic settings that the broker acts upon.
var kept = map[string]bool{
	"cleanup.policy": true, "delete.retention.ms": true, "max.message.bytes": true,
	"message.timestamp.type": true, "retention.ms": true, "retention.bytes": true,
}

// topicConfig turns a topic's settings into those that the broker can hold safely.
func topicConfig(want map[string]string, retain int64) map[string]string {
	have := make(map[string]string, len(want)+1)
	for k, v := range want {
		if kept[k] {
			have[k] = v
		}
	}
	limit := atoi(have["retention.bytes"])
	if limit < 0 && atoi(have["retention.ms"]) >= 0 {
		limit = retain
	}
	delete(have, "retention.ms")
	delete(have, "retention.bytes")
	if limit >= 0 {
		have["retention.bytes"] = strconv.FormatInt(max(limit, minRetainBytes), 10)
	}
	return have
}

// atoi reads a setting; -1, without a limit, if there is none.
func atoi(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// hold makes the rules apply to the requests that could break them.
func hold(c *kfake.Cluster, retain int64) {
	control := func(key kmsg.Key, rewrite func(kmsg.Request)) {
		c.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
			rewrite(r)
			return nil, nil, false // and let kfake handle it
		})
	}
	control(kmsg.CreateTopics, func(r kmsg.Request) {
		req := r.(*kmsg.CreateTopicsRequest)
		for i := range req.Topics {
			req.Topics[i].Configs = createConfigs(req.Topics[i].Configs, retain)
		}
	})
	control(kmsg.AlterConfigs, func(r kmsg.Request) {
		req := r.(*kmsg.AlterConfigsRequest)
		for i := range req.Resources {
			for j := range req.Resources[i].Configs {
				c := &req.Resources[i].Configs[j]
				c.Value = safeValue(c.Name, c.Value)
			}
		}
	})
	control(kmsg.IncrementalAlterConfigs, func(r kmsg.Request) {
		req := r.(*kmsg.IncrementalAlterConfigsRequest)
		for i := range req.Resources {
			for j := range req.Resources[i].Configs {
				c := &req.Resources[i].Configs[j]
				c.Value = safeValue(c.Name, c.Value)
			}
		}
	})
	control(kmsg.DeleteRecords, func(r kmsg.Request) {
		req := r.(*kmsg.DeleteRecordsRequest)
		for i := range req.Topics {
			for j := range req.Topics[i].Partitions {
				keepLast(c, req.Topics[i].Topic, &req.Topics[i].Partitions[j])
			}
		}
	})
}

func createConfigs(in []kmsg.CreateTopicsRequestTopicConfig, retain int64) []kmsg.CreateTopicsRequestTopicConfig {
	want := make(map[string]string, len(in))
	for _, c := range in {
		if c.Value != nil {
			want[c.Name] = *c.Value
		}
	}
	out := in[:0]
	for k, v := range topicConfig(want, retain) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = k, kmsg.StringPtr(v)
		out = append(out, c)
	}
	return out
}

func safeValue(name string, v *string) *string {
	switch {
	case v == nil:
		return nil
	case name == "retention.ms" || name == "log.retention.ms":
		return kmsg.StringPtr("-1")
	case name == "retention.bytes" || name == "log.retention.bytes":
		if n := atoi(*v); n >= 0 {
			return kmsg.StringPtr(strconv.FormatInt(max(n, minRetainBytes), 10))
		}
	}
	return v
}

// keepLast stops a deletion short of the partition's last record.
func keepLast(c *kfake.Cluster, topic string, p *kmsg.DeleteRecordsRequestTopicPartition) {
	info := c.PartitionInfo(topic, p.Partition)
	if info == nil || info.HighWatermark == 0 {
		return
	}
	if p.Offset == -1 || p.Offset == info.HighWatermark {
		p.Offset = max(info.LogStartOffset, info.HighWatermark-1)
	}
}
