package service

import (
	"log/slog"

	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/process"
)

// alarm is what wakes the streams of a service at their deadlines, if it handles wakes.
type alarm struct {
	*process.Alarm
	unheard *slog.Logger // of a service that handles none
}

// newAlarm returns the alarm of a service. It costs nothing until it is added to the process.
func (p *Platform) newAlarm(service string, store es.Log) *alarm {
	return &alarm{Alarm: process.NewAlarm(process.AlarmOptions{
		Service: service, Log: store, Producer: p.Producer, Clock: p.Clock, Observer: p.Metrics.Alarm(service),
	})}
}

// addAlarm runs the alarm of a service: it stops before the engine that answers it.
func (p *Platform) addAlarm(service string, a *alarm) {
	p.Sup.Add(daemon.StageConsumers, daemon.Component{Name: service + " timers", Run: a.Run})
}

// armed takes note of timers that were set. Where nobody handles wakes, a mistake in the program
// that shows at the first deadline alone, it is told.
func (a *alarm) armed(timers []es.Timer) {
	if a.unheard != nil {
		a.unheard.Error("streams have deadlines and will not be woken: the service handles no wakes (bus.HandleWakes)", "stream", timers[0].Stream)
		return
	}
	a.Armed(timers)
}
