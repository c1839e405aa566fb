// Package process holds what a process manager is made of beside its streams: a Forwarder, which
// passes events of other services on to it as commands, and an Alarm, which wakes its streams at
// their deadlines.
//
// In the flow a process manager is a service like any other: it decides commands on streams of
// its own, and what its events ask of other services goes out through its relay (bus.Ask). Both
// parts here do one piece of work when they are called (Deliver, Step), driven by a loop or by a test.
package process
