package fulfilment

// Step is where the process of an order stands.
type Step string

// The steps.
const (
	StepAnnounced     Step = "announced"
	StepReserving     Step = "reserving"
	StepPaying        Step = "paying"
	StepAllocating    Step = "allocating"
	StepConfirming    Step = "confirming"
	StepStopping      Step = "stopping"
	StepUndoing       Step = "undoing"
	StepAnswering     Step = "answering"
	StepRejecting     Step = "rejecting"
	StepDispatching   Step = "dispatching"
	StepAwaitingStock Step = "awaiting_stock"
	StepDelivering    Step = "delivering"
	StepCapturing     Step = "capturing"
	StepRefunding     Step = "refunding"
	StepReturning     Step = "returning"

	StepCompleted Step = "completed"
	StepRejected  Step = "rejected"
	StepCancelled Step = "cancelled"
)

// Ended reports whether the process is over: nothing is held or owed, and nobody waits. A
// return of what was delivered takes it up again.
func (s Step) Ended() bool { return s == StepCompleted || s == StepRejected || s == StepCancelled }

// step names where the process stands: the first of what it waits for that is not past.
func (p *Process) step(w *waits) Step {
	switch {
	case w.announced:
		return StepAnnounced
	case p.Failed != nil && (w.answers() || !p.Closed):
		return StepRejecting
	case p.Failed != nil:
		return StepRejected
	case w.stopping > 0:
		return StepStopping
	case len(p.Cancels) > 0 && p.Cancels[0].Stage == CancelUndoing:
		return StepUndoing
	case len(p.Cancels) > 0:
		return StepAnswering
	case p.Confirm == "" && w.reserving > 0:
		return StepReserving
	case w.paying, w.action, w.redeeming:
		return StepPaying
	case w.reserving+w.allocating > 0:
		return StepAllocating
	case w.confirming:
		return StepConfirming
	case w.preparing > 0:
		return StepDispatching
	case w.backordered+w.refused > 0:
		return StepAwaitingStock
	case w.travelling > 0:
		return StepDelivering
	case w.capturing > 0:
		return StepCapturing
	case w.refunding > 0:
		return StepRefunding
	case w.returning > 0:
		return StepReturning
	case w.answers(): // the rest of the money, which nobody could collect, is let go
		return StepUndoing
	case len(p.live()) == 0:
		return StepCancelled
	}
	return StepCompleted
}
