package kafka

import (
	"sync"

	"github.com/rcrowley/go-metrics"
)

// noRegistry keeps none of Sarama's own metrics: nobody reads them, each costs a few
// percent of a producer's CPU, and its meters start a goroutine that never ends.
type noRegistry struct{}

// turnOffDefaultMetrics is for Sarama's fetch requests, which ask the library's default
// registry, whatever the configuration says.
var turnOffDefaultMetrics = sync.OnceFunc(func() { metrics.DefaultRegistry = noRegistry{} })

func (noRegistry) Each(func(string, any))            {}
func (noRegistry) Get(string) any                    { return nil }
func (noRegistry) GetAll() map[string]map[string]any { return nil }
func (noRegistry) Register(string, any) error        { return nil }
func (noRegistry) RunHealthchecks()                  {}
func (noRegistry) Unregister(string)                 {}
func (noRegistry) UnregisterAll()                    {}
func (noRegistry) GetOrRegister(_ string, metric any) any {
	switch metric.(type) {
	case metrics.Meter, func() metrics.Meter:
		return metrics.NilMeter{}
	case metrics.Counter, func() metrics.Counter:
		return metrics.NilCounter{}
	case metrics.Histogram, func() metrics.Histogram:
		return metrics.NilHistogram{}
	case metrics.Timer, func() metrics.Timer:
		return metrics.NilTimer{}
	}
	return metric
}
