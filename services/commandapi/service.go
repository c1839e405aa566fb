package commandapi

import (
	"context"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/service"
)

// Service is the service's name on the command line.
const Service = "commandapi"

// Add adds the command API to a process: it publishes to the command topics of all services
// and reads its own partition of the outcomes topic.
func Add(p *service.Platform) {
	c := &Commands{platform: p, outlet: newOutlet(maxPublishing, p.Logger(Service))}
	// Any partition serves; instances share them evenly by chance.
	id := p.NewID()
	c.replies = newReplies(int32(id[len(id)-1]) % int32(p.Settings.Kafka.Partitions))
	c.register(p.API)

	part := p.Health.Require("command api")
	p.Sup.Add(daemon.StageResources, daemon.Component{
		Name: "command api",
		Start: func(ctx context.Context) error {
			return daemon.Retry(ctx, part, daemon.DefaultBackoff, func(context.Context) (err error) {
				c.sender, err = p.NewSender()
				return err
			})
		},
	})
	// The reader stands at the end of its partition before the API is served.
	standing := make(chan struct{})
	p.Sup.Add(daemon.StageConsumers, daemon.Component{
		Name: "replies",
		Run: func(ctx context.Context) error {
			return c.replies.run(ctx, p.Kafka, func() { close(standing) })
		},
	})
	p.Sup.Add(daemon.StageHTTP, daemon.Component{
		Name: "replies in place",
		Start: func(ctx context.Context) error {
			select {
			case <-standing:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
}
