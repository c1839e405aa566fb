package service

import (
	"github.com/orderlane/orderlane/pkg/daemon"
	"github.com/orderlane/orderlane/pkg/es"
	"github.com/orderlane/orderlane/pkg/process"
)

// newAlarm returns what wakes the streams of a service at their deadlines. It costs nothing
// until it is added to the process, which is done for services that handle wakes.
func (p *Platform) newAlarm(service string, store es.Log) *process.Alarm {
	return process.NewAlarm(process.AlarmOptions{
		Service: service, Log: store, Producer: p.Producer, Clock: p.Clock, Observer: p.Metrics.Alarm(service),
	})
}

// addAlarm runs the alarm of a service: it stops before the engine that answers it.
func (p *Platform) addAlarm(service string, alarm *process.Alarm) {
	p.Sup.Add(daemon.StageConsumers, daemon.Component{Name: service + " timers", Run: alarm.Run})
}
