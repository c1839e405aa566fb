package service

import (
	"context"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/kafka"
	"github.com/orderlane/orderlane/pkg/process"
)

// AddForwarder adds to the process what passes events of other services on to a process manager,
// as commands on <process>.commands.v1 (see process.Forwarder). The process manager itself is
// added with AddWrite, and handles the events' types as commands.
func (p *Platform) AddForwarder(name string, rules ...process.Rule) {
	group := process.ForwarderGroup(name)
	log := p.Logger(group)
	p.Sup.Add(daemon.StageRelays, daemon.Component{
		Name: group,
		Run: func(ctx context.Context) error {
			f := process.NewForwarder(process.ForwarderOptions{
				Process: name, Rules: rules, Producer: p.Producer, Clock: p.Clock, Observer: p.Metrics.Forwarder(name), Log: log,
				Committed: func(ctx context.Context, parts []kafka.Partition) (map[kafka.Partition]int64, error) {
					return p.Admin.Committed(ctx, group, parts)
				},
			})
			return kafka.ConsumeGroup(ctx, kafka.GroupConfig{Config: p.Kafka, Group: group, Topics: f.Topics(), Log: log}, f)
		},
	})
}
